"""One peer's connection: what is read is kept together, then answered in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from fhir_coder import hl7v2
from fhir_coder.hl7v2 import AckError, Frame, FrameSplitter, GivenUp, HalfFrame, Noise, Oversize, Piece
from fhir_coder.intake.answer import answer_frame, frame_content, refuse
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.logs import log
from fhir_coder.settings import MllpFeed
from fhir_coder.store.ledger import utc_now
from fhir_coder.store.messages import Incoming, Kept

Outcome = Sequence[Kept] | Exception
"""What became of messages that were handed in together."""

READ = 64 * 1024
_ALL_READ = 4 * 1024 * 1024  # more than the stream holds at its limit
_AT_ONCE = 200
"""Frames that are kept together: no more, so that many small ones of one peer do not hold up the others."""
_GOODBYE, _QUIET = 5.0, 0.3
"""Seconds that a peer may go on sending when we stop, and after which without a byte it counts as done."""


class Answers:
    """What the desk has told of this loop's connections: handed over once a commit, not once a message."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: deque[tuple[asyncio.Future[Outcome], Outcome]] = deque()

    def expect(self) -> asyncio.Future[Outcome]:
        """A future for what will be told."""
        return self._loop.create_future()

    def put(self, waiting: asyncio.Future[Outcome], outcome: Outcome) -> None:
        """Tell an outcome; called on the desk's thread."""
        self._told.append((waiting, outcome))

    def ring(self) -> None:
        """Have the loop look; called on the desk's thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        while self._told:
            waiting, outcome = self._told.popleft()
            if not waiting.done():  # else the connection ended before its messages were on the disk
                waiting.set_result(outcome)


NO_ROOM = "too many long frames at once: send it again later"


class Room:
    """The bytes that all connections of a feed may hold of frames that are not answered yet."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0

    @property
    def is_overfull(self) -> bool:
        """Whether more is held than may be."""
        return self.used > self.limit


@dataclass(frozen=True, slots=True)
class Reception:
    """What all connections of a listener share."""

    feed: MllpFeed
    desk: IntakeDesk
    room: Room
    answers: Answers


class Conversation:
    """A connection of a feed, from its first byte to its end."""

    def __init__(
        self, reception: Reception, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
    ) -> None:
        self._feed, self._desk, self._answers = reception.feed, reception.desk, reception.answers
        self._room, self._held = reception.room, 0
        self._reader, self._writer = reader, writer
        self._host = host  # whom to call: many peers may share a feed
        self._splitter = FrameSplitter(limit=self._feed.max_frame_bytes)
        self._since = asyncio.get_running_loop().time()
        self._task = asyncio.current_task()
        self._is_reading = self._is_interrupted = self._is_stopping = False

    async def run(self) -> None:
        """Answer what comes until the peer ends, is silent for too long, or we stop."""
        self._watch()
        try:
            await self._converse()
        finally:
            self._watching.cancel()
            self._hold(0)

    async def _converse(self) -> None:
        try:
            while not self._is_stopping and (chunk := await self._next_chunk()):
                await self._take(chunk)
        except TimeoutError:
            if not self._is_stopping:
                log.warning("connection_idle", feed=self._feed.name, host=self._host, bytes=self._splitter.pending)
                return
        if self._is_stopping:
            await self._take(await self._rest())
            await self._say_goodbye()
        self._report(self._splitter.finish())

    def stop(self) -> None:
        """Read no more. What was read is still kept and answered."""
        self._is_stopping = True
        self._interrupt()

    def _watch(self) -> None:
        """Interrupt a read that waits too long: a frame must be whole, or begin, within the limit.

        One timer a connection, which looks again: a timer a read would cost more than the read.
        """
        loop = asyncio.get_running_loop()
        due = self._since + self._feed.idle_seconds
        if loop.time() >= due:
            self._interrupt()
            due = loop.time() + self._feed.idle_seconds
        self._watching = loop.call_at(due, self._watch)

    def _interrupt(self) -> None:
        if self._is_reading and self._task and not self._is_interrupted:
            self._is_interrupted = True
            self._task.cancel()

    async def _next_chunk(self) -> bytes:
        """What comes next, empty at the end. Raises TimeoutError where it was interrupted; no byte is lost."""
        self._is_reading = True
        try:
            return await self._reader.read(READ)
        except asyncio.CancelledError:
            if not self._is_interrupted or not self._task:
                raise
            self._task.uncancel()
            raise TimeoutError from None
        finally:
            self._is_reading = False

    async def _rest(self) -> bytes:
        """What had been read off the socket when we were stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                return await self._reader.read(_ALL_READ)
        return b""

    async def _take(self, chunk: bytes) -> None:
        """Keep the messages of what was read, many with one flush, then answer each in order."""
        half = self._splitter.pending
        pieces = self._splitter.feed(chunk)
        self._make_room(sum(len(piece.payload) for piece in pieces if isinstance(piece, Frame)))
        for start in range(0, len(pieces), _AT_ONCE):
            if start:
                await asyncio.sleep(0)  # a read may hold thousands of small frames: the others have their turn
            await self._answer(pieces[start : start + _AT_ONCE])
        self._hold(self._splitter.held)
        if pieces or not half:  # else the same frame goes on: its time does too
            self._since = asyncio.get_running_loop().time()

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

    async def _answer(self, pieces: Sequence[Piece]) -> None:
        contents = [frame_content(self._feed.name, p.payload) if isinstance(p, Frame) else None for p in pieces]
        self._report(pieces)
        kept = iter(await self._kept([one for c in contents if c for one in c.messages]))
        at, style = utc_now(), self._feed.ack
        answers: list[bytes] = []
        for piece, content in zip(pieces, contents, strict=True):
            if isinstance(piece, Oversize):
                error = AckError("", "207", f"the frame is larger than {self._feed.max_frame_bytes} bytes")
                answers += refuse(piece.head, error, at, style)
            elif isinstance(piece, GivenUp):
                answers += refuse(piece.head, AckError("", "207", NO_ROOM), at, style)
            elif content is not None and content.is_blank:
                log.warning("frame_empty", feed=self._feed.name, host=self._host)
                answers += refuse(b"", AckError("", "100", "the frame is empty"), at, style)
            elif content is not None:
                answers += answer_frame(content, [next(kept) for _ in content.messages], at, style)
        self._writer.write(b"".join(map(hl7v2.frame, answers)))
        if self._writer.transport.get_write_buffer_size():
            async with asyncio.timeout(self._feed.idle_seconds):
                await self._writer.drain()

    async def _kept(self, incoming: list[Incoming]) -> Sequence[Kept | None]:
        """What became of each once all are on the disk; None where it could not be kept (logged at the desk)."""
        if not incoming:
            return ()
        waiting = self._answers.expect()
        self._desk.hand_in(incoming, partial(self._answers.put, waiting), self._answers.ring)
        kept = await waiting
        return [None] * len(incoming) if isinstance(kept, Exception) else kept

    async def _say_goodbye(self) -> None:
        """End our side and read what still comes: closing over unread bytes resets a connection, answers are lost."""
        if not self._writer.can_write_eof():
            return  # TLS has its own way to end a connection in order
        self._writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                while await asyncio.wait_for(self._reader.read(READ), _QUIET):
                    pass

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
