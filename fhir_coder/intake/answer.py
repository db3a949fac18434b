"""What a sender is told about an HL7 v2 payload that was kept (HL7 v2.9 chapter 2.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, count

from fhir_coder import hl7v2, measures
from fhir_coder.hl7v2 import AckCode, AckError, AckStyle, BatchFile, Miscount
from fhir_coder.intake.payloads import header_or_fault
from fhir_coder.logs import log
from fhir_coder.model import Header, MessageFormat, MessageStatus
from fhir_coder.store.ids import new_id
from fhir_coder.store.ledger import utc_now
from fhir_coder.store.messages import Incoming, Kept

_NO_CONTROL_ID = "MSH-10: the message control id is missing"
_COMMIT: dict[AckCode, AckCode] = {"AA": "CA", "AE": "CE", "AR": "CR"}


@dataclass(frozen=True, slots=True)
class FrameContent:
    """The messages of one frame, none where it is blank, and the batch that they came in."""

    messages: tuple[Incoming, ...]
    batch: BatchFile | None = None

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to keep. A batch without messages is not blank: it says that there are none."""
        return not self.messages and self.batch is None


def incoming_v2(feed: str, body: bytes) -> Incoming:
    """A payload that came over an HL7 v2 connection. Without a control id it cannot be acknowledged as taken."""
    header, fault = header_or_fault(body)
    if not fault and header.format is not MessageFormat.HL7V2:
        header, fault = Header(MessageFormat.UNKNOWN), "not HL7 v2: this feed takes HL7 v2 messages"
    elif not fault and not header.control_id:
        fault = _NO_CONTROL_ID
    return Incoming(feed, header, body, fault)


def frame_content(feed: str, payload: bytes, host: str) -> FrameContent:
    """What a frame that a host sent holds: a message, several, or a batch (FHS, BHS)."""
    batch = hl7v2.read_batches(payload)
    report_miscounts(batch.miscounts if batch else (), feed=feed, host=host)
    bodies = batch.messages if batch else [body for _, body in hl7v2.split_messages(payload)]
    return FrameContent(tuple(incoming_v2(feed, body) for body in bodies), batch)


def report_miscounts(miscounts: Sequence[Miscount], **source: str | int) -> None:
    """Log each batch trailer of a source that announced another number than came. What came is kept all the same."""
    for one in miscounts:
        log.warning("batch_miscounted", **source, where=one.path, declared=one.declared, found=one.found)


def answer_frame(content: FrameContent, kept: Sequence[Kept | None], at: datetime, style: AckStyle) -> list[bytes]:
    """The payloads that answer a frame: one for each acknowledgment, or one for a whole batch.

    A batch all of whose messages ask for no answer gets none.
    """
    said = [acknowledge(one, known, at, style) for one, known in zip(content.messages, kept, strict=True)]
    if content.batch is None or (content.messages and not any(said)):
        return list(chain.from_iterable(said))
    waiting = iter(said)
    groups = [list(chain.from_iterable(next(waiting) for _ in b.messages)) for b in content.batch.batches]
    return [hl7v2.build_batch_answer(content.batch, groups, _own_control_id(), _hl7_time(at))]


def acknowledge(incoming: Incoming, kept: Kept | None, at: datetime, style: AckStyle = "auto") -> tuple[bytes, ...]:
    """The acknowledgments of a payload, none where the sender wants none.

    `kept` is None where it could not be written to the disk: the sender is told to send it again.
    """
    code, error = _verdict(incoming, kept)
    return _acknowledgments(incoming.body, (code, error), at, style)


def refuse(head: bytes, error: AckError, at: datetime, style: AckStyle) -> tuple[bytes, ...]:
    """The rejection of a payload that is not kept, by as much of it as is known."""
    return _acknowledgments(head, ("AR", error), at, style)


def _acknowledgments(
    body: bytes, verdict: tuple[AckCode, AckError | None], at: datetime, style: AckStyle
) -> tuple[bytes, ...]:
    mode = hl7v2.ack_mode(body, style)
    code, error = verdict
    is_good = code == "AA"
    codes: list[AckCode] = [_COMMIT[code]] if mode.wants_accept(is_good) else []
    # After CE or CR the sender waits for nothing more: a second answer would be taken for the next message's.
    if mode.wants_application(is_good) and (is_good or not codes):
        codes.append(code)
    for one in codes:
        measures.count("fhir_coder_acknowledgments", one)
    time = _hl7_time(at)
    return tuple(hl7v2.build_ack(body, c, control_id=_own_control_id(), at=time, error=error) for c in codes)


def _hl7_time(at: datetime) -> str:
    return _text_of_second(int(at.timestamp()))


@lru_cache(maxsize=4)
def _text_of_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y%m%d%H%M%S+0000")


def _own_control_id() -> str:
    """A control id that no other process and no other answer has; MSH-10 took 20 characters before version 2.7."""
    return f"{_THIS_PROCESS}{next(_NUMBERS):08X}"


_THIS_PROCESS = new_id(utc_now())[4:16]
_NUMBERS = count(1)


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
