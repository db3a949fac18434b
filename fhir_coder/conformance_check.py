"""`check`: HL7 v2 messages of a file against the standard or the profiles of a site, and FHIR Claims by the edits."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fhir_coder import fhir, hl7v2
from fhir_coder.claim_check import claim_findings
from fhir_coder.claims.model_check import resource_findings
from fhir_coder.conversion import finding_to_json
from fhir_coder.edits import rejects
from fhir_coder.errors import Fault, ProfileError, UnreadableError, UsageError
from fhir_coder.intake.groups import file_bytes
from fhir_coder.intake.payloads import payloads_in, read_header
from fhir_coder.model import Finding, Json, MessageFormat, Payer, Severity
from fhir_coder.pipeline import FeedCheck

if TYPE_CHECKING:
    from fhir_coder.hl7v2.profile import Profile

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


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How messages are checked (`version`, `profiles`), and as whose claims are judged (`payer`)."""

    version: str | None = None
    profiles: Sequence[Path] = ()
    payer: Payer | None = None

    def check_of(self, kind: MessageFormat) -> Check:
        """The check of one kind of payload. Raises UsageError where an option is for the other kind."""
        if kind is MessageFormat.FHIR:
            if self.version or self.profiles:
                raise UsageError("--version and --profile are for HL7 v2 messages: the file has FHIR in it")
            return lambda body: claim_findings(body, self.payer)
        if self.payer:
            raise UsageError("--payer is for claims: the file has HL7 v2 messages in it")
        return _profile_check(self.profiles) if self.profiles else _standard_check(self.version)


def check_file(path: Path, options: CheckOptions) -> CheckedFile:
    """Check all a file holds, plain or gzip, and its batch counts; what cannot be read is told with the rest.

    HL7 v2 by the standard, in the version given or the one each message names, or by message profiles, where there are
    any; FHIR Claims, alone or in a Bundle, by the structure edits. Raises ProfileError where a profile cannot be used,
    UsageError where the version is not known or an option is for the other kind.
    """
    checks: dict[MessageFormat, Check] = {}
    messages, unreadable = [], []
    data = file_bytes(path)
    announced = tuple(_miscounted(miscount) for miscount in hl7v2.miscounts(data))
    if announced:
        messages.append(CheckedMessage(str(path), announced))
    for number, body in enumerate(list(payloads_in(data)) or [data], start=1):
        message_id = f"{path}:{number}"
        try:
            kind = MessageFormat.FHIR if fhir.looks_like_fhir(body) else read_header(body).format
            check = checks.get(kind) or checks.setdefault(kind, options.check_of(kind))
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
        raise UsageError(f"HL7 version {version} is not known: there is {', '.join(VERSIONS)}")
    return lambda body: check_message(body, version)


def _profile_check(files: Sequence[Path]) -> Check:
    from fhir_coder.hl7v2.profile_check import check_by_profiles

    profiles = _profiles(files)
    return lambda body: check_by_profiles(body, profiles)


def _profile_or_standard_check(files: Sequence[Path]) -> Check:
    """By the profile for a message's type where there is one: a feed brings other types too."""
    from fhir_coder.hl7v2.profile_check import check_by_profiles

    profiles, by_standard = _profiles(files), _standard_check(None)

    def check(body: bytes) -> Sequence[Finding]:
        kind, _, event = read_header(body).type.partition("^")
        has_profile = any(profile.is_for(kind, event) for profile in profiles)
        return check_by_profiles(body, profiles) if has_profile else by_standard(body)

    return check


def _profiles(files: Sequence[Path]) -> list[Profile]:
    from fhir_coder.hl7v2.profile import read_profiles

    return [profile for file in files for profile in read_profiles(_profile_bytes(file), str(file))]


def _profile_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fault = Fault(str(file), 0, "", f"cannot be read: {error.strerror or type(error).__name__}")
        raise ProfileError("the message profile", [fault]) from None


def feed_check(rejects: bool, profiles: Sequence[Path] = ()) -> FeedCheck:
    """The check of a feed whose rules ask for one (`validate`); the standard's structures are loaded by it.

    HL7 v2 messages are checked against the feed's profile for their type, or the standard's structures where it has
    none; FHIR resources against the R4 model. Raises ProfileError.
    """
    check_v2 = _profile_or_standard_check(profiles)

    def check(body: bytes) -> Sequence[Finding]:
        return resource_findings(fhir.load(body)) if fhir.looks_like_fhir(body) else check_v2(body)

    return FeedCheck(check, rejects)
