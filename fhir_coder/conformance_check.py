"""`check`: HL7 v2 messages of a file against the standard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fhir_coder.conversion import finding_to_json
from fhir_coder.edits import rejects
from fhir_coder.errors import UnreadableError
from fhir_coder.intake.payloads import payloads_in, read_header
from fhir_coder.model import Finding, Json, MessageFormat


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
