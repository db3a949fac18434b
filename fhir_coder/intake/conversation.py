"""One peer's connection: what is read is kept together, then answered in order.

It lives on the desk's loop and is called by it (`asyncio.BufferedProtocol`): a task and a stream for each connection
cost as much again as all else that is done for a message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from fhir_coder import hl7v2
from fhir_coder.hl7v2 import AckError, Frame, FrameSplitter, GivenUp, HalfFrame, Noise, Oversize, Piece
from fhir_coder.intake.answer import FrameContent, answer_frame, frame_content, refuse
from fhir_coder.intake.desk import IntakeDesk, Outcome
from fhir_coder.intake.tls import names_in
from fhir_coder.logs import error_place, log
from fhir_coder.settings import MllpFeed
from fhir_coder.store.ledger import utc_now
from fhir_coder.store.messages import Kept

_READ = 64 * 1024
"""Bytes that are read at once, and that wait while what was read before is kept."""
_AT_ONCE = 200
"""Frames that are kept together: no more, so that many small ones of one peer do not hold up the others."""
_GOODBYE, _QUIET = 5.0, 0.3
"""Seconds that a peer may go on sending when we stop, and after which without a byte it counts as done."""

NO_ROOM = "too many long frames at once: send it again later"


class Room:
    """The bytes that all connections of a feed may hold of frames that are not answered yet."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0

    @property
    def is_overfull(self) -> bool:
        """Whether more is held than may be."""
        return self.used > self.limit


def _read_buffer() -> memoryview:
    return memoryview(bytearray(_READ))


@dataclass(frozen=True, slots=True)
class Reception:
    """What all connections of a listener share: also where bytes are read into, since they are copied out at once."""

    feed: MllpFeed
    desk: IntakeDesk
    room: Room
    names: frozenset[str] = frozenset()
    buffer: memoryview = field(default_factory=_read_buffer)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Frames whose messages are at the desk, and what is in them (None where a piece is no frame)."""

    pieces: Sequence[Piece]
    contents: Sequence[FrameContent | None]
    messages: int


class Conversation(asyncio.BufferedProtocol):
    """A connection of a feed, from its first byte to its end. `ended` is done when it has ended."""

    def __init__(self, reception: Reception, host: str) -> None:
        self._feed, self._desk, self._names = reception.feed, reception.desk, reception.names
        self._room, self._held = reception.room, 0
        self._buffer = reception.buffer
        self._host = host  # whom to call: many peers may share a feed
        self._splitter = FrameSplitter(limit=self._feed.max_frame_bytes)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._since = self._loop.time()
        self._unread: deque[bytes] = deque()
        self._pieces: Sequence[Piece] = ()
        self._asked: _Asked | None = None
        self._is_deaf = self._is_paused = self._is_over = self._is_stopping = self._is_leaving = False
        self.ended: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_open(self) -> bool:
        """Whether the peer is connected, its TLS handshake done."""
        return self._transport is not None

    def stop(self) -> None:
        """Read no more. What was read is still kept and answered."""
        self._is_stopping = self._is_over = True
        self._go_on()

    def abort(self) -> None:
        """End it at once."""
        if self._transport:
            self._transport.abort()

    # --- what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if the peer's certificate has a name that may come in."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._names and not self._names & names_in(transport.get_extra_info("peercert") or {}):
            log.warning("connection_refused", feed=self._feed.name, host=self._host, reason="certificate_name")
            self._is_leaving = True
            transport.close()
            return
        self._since = self._loop.time()
        self._watch()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio calls it so
        """Where the next bytes are to be read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        if not self._is_leaving:
            self._unread.append(bytes(self._buffer[:nbytes]))
            self._go_on()
        elif self._is_stopping:
            self._await_quiet()

    def eof_received(self) -> bool:
        """Answer what is not answered yet, then end; over TLS there is no half that stays open."""
        assert self._transport
        self._is_over = True
        if self._is_leaving:
            self._transport.close()
        self._go_on()
        return self._transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        """Take nothing more as long as the peer reads no answers."""
        self._is_deaf = True
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        """Go on when the peer has read its answers."""
        self._is_deaf = False
        self._since = self._loop.time()
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        """Give back what is held. What was acknowledged is on the disk; the peer sends the rest again."""
        if self._timer:
            self._timer.cancel()
        if not self._is_leaving:
            self._report(self._splitter.finish())
        self._is_leaving = True
        self._hold(0)
        if not self.ended.done():
            self.ended.set_result(None)

    # --- one step after the other

    def _go_on(self) -> None:
        """Take what was read, as long as neither the desk nor the peer is waited for."""
        try:
            while not (self._asked or self._is_deaf or self._is_leaving) and self._step():
                pass
            self._set_reading()
        except Exception as error:  # the other connections go on; this peer sends again what was not answered
            self._fail(error)

    def _step(self) -> bool:
        """Take the next of what was read; false where there is nothing."""
        if self._pieces:
            self._ask(self._pieces[:_AT_ONCE])
            self._pieces = self._pieces[_AT_ONCE:]
        elif self._unread:
            self._split(self._unread.popleft())
        elif self._is_over:
            self._leave()
        else:
            return False
        return True

    def _set_reading(self) -> None:
        """Read nothing more where enough waits."""
        assert self._transport
        waits = self._is_over or sum(map(len, self._unread)) >= _READ
        is_paused = waits and not self._is_leaving
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()

    def _split(self, chunk: bytes) -> None:
        half = self._splitter.pending
        self._pieces = self._splitter.feed(chunk)
        self._make_room(sum(len(piece.payload) for piece in self._pieces if isinstance(piece, Frame)))
        if self._pieces or not half:  # else the same frame goes on: its time does too
            self._since = self._loop.time()

    def _hold(self, size: int) -> None:
        """Tell the room how much is held here."""
        self._room.used += size - self._held
        self._held = size

    def _make_room(self, whole: int) -> None:
        """Give up the frame that has begun where the room is overfull; `whole` bytes are of frames that have ended."""
        self._hold(whole + self._splitter.held)
        if self._room.is_overfull:
            self._splitter.give_up()
            self._hold(whole + self._splitter.held)

    def _ask(self, pieces: Sequence[Piece]) -> None:
        """Hand in the messages of some pieces, all with one flush."""
        name, host = self._feed.name, self._host
        contents = [frame_content(name, p.payload, host) if isinstance(p, Frame) else None for p in pieces]
        self._report(pieces)
        incoming = [one for c in contents if c for one in c.messages]
        self._asked = _Asked(pieces, contents, len(incoming))
        if incoming:
            self._desk.hand_in(incoming, self._told)
        else:
            self._loop.call_soon(self._told, ())  # a read may hold thousands of such pieces: the others have their turn

    def _told(self, came: Outcome) -> None:
        """Answer what was asked: each message is on the disk, or is answered that it is not (logged at the desk)."""
        asked, self._asked = self._asked, None
        if self.ended.done() or not asked or not self._transport:
            return
        try:
            kept = [None] * asked.messages if isinstance(came, Exception) else came
            self._transport.write(b"".join(map(hl7v2.frame, self._answers(asked, kept))))
            if not self._pieces:
                self._hold(self._splitter.held)
            self._since = self._loop.time()
        except Exception as error:
            self._fail(error)
        else:
            self._go_on()

    def _answers(self, asked: _Asked, kept: Sequence[Kept | None]) -> list[bytes]:
        at, style, known = utc_now(), self._feed.ack, iter(kept)
        answers: list[bytes] = []
        for piece, content in zip(asked.pieces, asked.contents, strict=True):
            if isinstance(piece, Oversize):
                error = AckError("", "207", f"the frame is larger than {self._feed.max_frame_bytes} bytes")
                answers += refuse(piece.head, error, at, style)
            elif isinstance(piece, GivenUp):
                answers += refuse(piece.head, AckError("", "207", NO_ROOM), at, style)
            elif content is not None and content.is_blank:
                log.warning("frame_empty", feed=self._feed.name, host=self._host)
                answers += refuse(b"", AckError("", "100", "the frame is empty"), at, style)
            elif content is not None:
                answers += answer_frame(content, [next(known) for _ in content.messages], at, style)
        return answers

    # --- the end

    def _watch(self) -> None:
        """End a connection that is waited for too long: a frame must be whole, or begin, and answers be read in time.

        One timer a connection, which looks again: a timer a read would cost more than the read.
        """
        now, due = self._loop.time(), self._since + self._feed.idle_seconds
        if now >= due and not self._asked:
            log.warning("connection_idle", feed=self._feed.name, host=self._host, bytes=self._splitter.pending)
            self._is_leaving = True
            self._end()
            return
        self._timer = self._loop.call_at(due if due > now else now + self._feed.idle_seconds, self._watch)

    def _end(self) -> None:
        """Close the connection; without waiting for a peer that reads nothing."""
        assert self._transport
        (self._transport.abort if self._is_deaf else self._transport.close)()

    def _leave(self) -> None:
        assert self._transport
        self._is_leaving = True
        self._report(self._splitter.finish())
        if self._is_stopping and self._transport.can_write_eof():
            self._say_goodbye(self._transport)
        else:
            self._transport.close()

    def _say_goodbye(self, transport: asyncio.Transport) -> None:
        """End our side and read what still comes: closing over unread bytes resets a connection, answers are lost."""
        transport.write_eof()
        self._since = self._loop.time()
        self._await_quiet()

    def _await_quiet(self) -> None:
        assert self._transport
        if self._timer:
            self._timer.cancel()
        at = min(self._loop.time() + _QUIET, self._since + _GOODBYE)
        self._timer = self._loop.call_at(at, self._transport.close)

    def _fail(self, error: Exception) -> None:
        where = error_place(error)
        log.error("connection_failed", feed=self._feed.name, host=self._host, error=type(error).__name__, where=where)
        self._is_leaving = True
        self.abort()

    def _report(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, Oversize | GivenUp | HalfFrame | Noise):
                log.warning(EVENTS[type(piece)], feed=self._feed.name, host=self._host, bytes=piece.size)


EVENTS: dict[type[Piece], str] = {
    Oversize: "frame_too_large",
    GivenUp: "frame_given_up",
    HalfFrame: "frame_cut_off",
    Noise: "noise_between_frames",
}
