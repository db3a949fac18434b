"""`check`: HL7 v2 messages of a file against the standard."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from fhir_coder.conversion import finding_to_json
from fhir_coder.edits import rejects
from fhir_coder.errors import UnreadableError
from fhir_coder.intake.payloads import payloads_in, read_header
from fhir_coder.model import Finding, Json, MessageFormat
from fhir_coder.pipeline import FeedCheck


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


def check_file(path: Path, version: str | None = None) -> CheckedFile:
    """Check every message of a file; the rest goes on where one cannot be read."""
    from fhir_coder.hl7v2.conformance import check_message  # loads the standard's structures: only when asked

    messages, unreadable = [], []
    data = path.read_bytes()
    for number, body in enumerate(list(payloads_in(data)) or [data], start=1):
        message_id = f"{path}:{number}"
        try:
            if read_header(body).format is not MessageFormat.HL7V2:
                raise UnreadableError("", "not_hl7v2", "not an HL7 v2 message")
            messages.append(CheckedMessage(message_id, tuple(check_message(body, version))))
        except UnreadableError as error:
            unreadable.append(f"{message_id}: unreadable: {error}")
    return CheckedFile(tuple(messages), tuple(unreadable))


def feed_check(rejects: bool) -> FeedCheck:
    """The check of a feed whose rules ask for one (`validate`); the standard's structures are loaded by it."""
    from fhir_coder.hl7v2.conformance import check_message

    return FeedCheck(check_message, rejects)
