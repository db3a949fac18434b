"""What a sender is told about an HL7 v2 payload that was kept (HL7 v2.9 chapter 2.9)."""

from __future__ import annotations

from datetime import datetime

from fhir_coder import hl7v2
from fhir_coder.hl7v2 import AckCode, AckError
from fhir_coder.intake.payloads import header_or_fault
from fhir_coder.model import Header, MessageFormat, MessageStatus
from fhir_coder.store.ids import new_id
from fhir_coder.store.messages import Incoming, Kept

_NO_CONTROL_ID = "MSH-10: the message control id is missing"
_COMMIT: dict[AckCode, AckCode] = {"AA": "CA", "AE": "CE", "AR": "CR"}


def incoming_v2(feed: str, body: bytes) -> Incoming:
    """A payload that came over an HL7 v2 connection. Without a control id it cannot be acknowledged as taken."""
    header, fault = header_or_fault(body)
    if not fault and header.format is not MessageFormat.HL7V2:
        header, fault = Header(MessageFormat.UNKNOWN), "not HL7 v2: this feed takes HL7 v2 messages"
    elif not fault and not header.control_id:
        fault = _NO_CONTROL_ID
    return Incoming(feed, header, body, fault)


def acknowledge(incoming: Incoming, kept: Kept | None, at: datetime) -> tuple[bytes, ...]:
    """The acknowledgments of a payload, none where the sender wants none.

    `kept` is None where it could not be written to the disk: the sender is told to send it again.
    """
    mode = hl7v2.ack_mode(incoming.body)
    code, error = _verdict(incoming, kept)
    is_good = code == "AA"
    codes: list[AckCode] = [_COMMIT[code]] if mode.wants_accept(is_good) else []
    codes += [code] if mode.wants_application(is_good) else []
    time = at.strftime("%Y%m%d%H%M%S+0000")
    return tuple(hl7v2.build_ack(incoming.body, c, control_id=new_id(at)[-20:], at=time, error=error) for c in codes)


def _verdict(incoming: Incoming, kept: Kept | None) -> tuple[AckCode, AckError | None]:
    if kept is None:
        return "AE", AckError("", "207", "the message could not be stored: send it again")
    if incoming.fault == _NO_CONTROL_ID:
        return "AR", AckError("MSH-10", "101", "the message control id is missing")
    if incoming.fault:
        return "AR", AckError("", "100", incoming.fault)
    if kept.status is MessageStatus.CONFLICT:
        return "AE", AckError("MSH-10", "205", "the control id was used before with other bytes: kept for a person")
    return "AA", None
