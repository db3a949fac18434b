"""`check`: HL7 v2 messages of a file against the standard, or against the profiles of a site."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fhir_coder import fhir, hl7v2
from fhir_coder.claims.model_check import resource_findings
from fhir_coder.conversion import finding_to_json
from fhir_coder.edits import rejects
from fhir_coder.errors import FhirCoderError, UnreadableError
from fhir_coder.intake.payloads import payloads_in, read_header
from fhir_coder.model import Finding, Json, MessageFormat, Severity
from fhir_coder.pipeline import FeedCheck

Check = Callable[[bytes], Sequence[Finding]]
"""The findings of one message; raises UnreadableError."""


@dataclass(frozen=True, slots=True)
class CheckedMessage:
    """A message that could be read, with its findings."""

    id: str
    findings: tuple[Finding, ...]

    def to_json(self) -> Json:
        """For `--json`."""
        return {"id": self.id, "findings": [finding_to_json(f) for f in self.findings]}


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """What a check found. `exit_status` is 0 clean, 1 something rejects, 2 something unreadable."""

    messages: tuple[CheckedMessage, ...]
    unreadable: tuple[str, ...]

    @property
    def exit_status(self) -> int:
        """For the command line."""
        if self.unreadable:
            return 2
        return int(any(rejects(m.findings) for m in self.messages))

    def junit(self) -> str:
        """A JUnit report, a test case a message: a failure where a finding rejects, an error where it is unreadable."""
        suite = ET.Element("testsuite", name="fhir-coder check", tests=str(len(self.messages) + len(self.unreadable)))
        suite.set("failures", str(sum(rejects(m.findings) for m in self.messages)))
        suite.set("errors", str(len(self.unreadable)))
        for message in self.messages:
            case = ET.SubElement(suite, "testcase", classname="check", name=message.id)
            listed = "\n".join(f"{f.severity.value} {f.path}: {f.text}" for f in message.findings)
            if rejects(message.findings):
                ET.SubElement(case, "failure", message=f"{len(message.findings)} findings").text = listed
            elif listed:
                ET.SubElement(case, "system-out").text = listed
        for fault in self.unreadable:
            message_id, _, why = fault.partition(": ")
            case = ET.SubElement(suite, "testcase", classname="check", name=message_id)
            ET.SubElement(case, "error", message=why)
        return ET.tostring(suite, encoding="unicode")


def check_file(path: Path, version: str | None = None, profiles: Sequence[Path] = ()) -> CheckedFile:
    """Check every message of a file; the rest goes on where one cannot be read. A batch trailer's count is checked too.

    By the standard, in the version given or the one each message names; or by message profiles, where there are any.
    Raises ProfileError where a profile cannot be used, FhirCoderError where the version is not known.
    """
    check = _profile_check(profiles) if profiles else _standard_check(version)
    messages, unreadable = [], []
    data = path.read_bytes()
    announced = tuple(_miscounted(miscount) for miscount in hl7v2.miscounts(data))
    if announced:
        messages.append(CheckedMessage(str(path), announced))
    for number, body in enumerate(list(payloads_in(data)) or [data], start=1):
        message_id = f"{path}:{number}"
        try:
            if read_header(body).format is not MessageFormat.HL7V2:
                raise UnreadableError("", "not_hl7v2", "not an HL7 v2 message")
            messages.append(CheckedMessage(message_id, tuple(check(body))))
        except UnreadableError as error:
            unreadable.append(f"{message_id}: unreadable: {error}")
    return CheckedFile(tuple(messages), tuple(unreadable))


def _miscounted(miscount: hl7v2.Miscount) -> Finding:
    return Finding("hl7-conformance", Severity.WARN, miscount.path, miscount.text)


def _standard_check(version: str | None) -> Check:
    from fhir_coder.hl7v2.conformance import check_message  # loads the standard's structures: only when asked
    from fhir_coder.hl7v2.fieldnames import VERSIONS

    if version and version not in VERSIONS:  # a slip of the keyboard must not pass as a clean check
        raise FhirCoderError(f"HL7 version {version} is not known: there is {', '.join(VERSIONS)}")
    return lambda body: check_message(body, version)


def _profile_check(files: Sequence[Path]) -> Check:
    from fhir_coder.hl7v2.profile import read_profiles
    from fhir_coder.hl7v2.profile_check import check_by_profiles

    profiles = [profile for file in files for profile in read_profiles(file.read_bytes(), str(file))]
    return lambda body: check_by_profiles(body, profiles)


def feed_check(rejects: bool) -> FeedCheck:
    """The check of a feed whose rules ask for one (`validate`); the standard's structures are loaded by it.

    HL7 v2 messages are checked against the standard's structures, FHIR resources against the R4 model.
    """
    from fhir_coder.hl7v2.conformance import check_message

    def check(body: bytes) -> Sequence[Finding]:
        return resource_findings(fhir.load(body)) if fhir.looks_like_fhir(body) else check_message(body)

    return FeedCheck(check, rejects)
