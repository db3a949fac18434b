"""One peer's connection: what is read is kept together, then answered in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from fhir_coder import hl7v2
from fhir_coder.hl7v2 import AckError, Frame, FrameSplitter, HalfFrame, Noise, Oversize, Piece
from fhir_coder.intake.answer import answer_frame, frame_content, refuse
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.logs import log
from fhir_coder.settings import MllpFeed
from fhir_coder.store.ledger import utc_now
from fhir_coder.store.messages import Incoming, Kept

READ = 64 * 1024
_ALL_READ = 4 * 1024 * 1024  # more than the stream holds at its limit
_AT_ONCE = 200
"""Frames that are kept together: no more, so that many small ones of one peer do not hold up the others."""
_GOODBYE, _QUIET = 5.0, 0.3
"""Seconds that a peer may go on sending when we stop, and after which without a byte it counts as done."""


class Conversation:
    """A connection of a feed, from its first byte to its end."""

    def __init__(
        self, feed: MllpFeed, desk: IntakeDesk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._feed, self._desk = feed, desk
        self._reader, self._writer = reader, writer
        self._splitter = FrameSplitter(limit=feed.max_frame_bytes)
        self._since = asyncio.get_running_loop().time()
        self._patience: asyncio.Timeout | None = None
        self._is_stopping = False

    async def run(self) -> None:
        """Answer what comes until the peer ends, is silent for too long, or we stop."""
        try:
            while not self._is_stopping and (chunk := await self._next_chunk()):
                await self._take(chunk)
        except TimeoutError:
            if not self._is_stopping:
                log.warning("connection_idle", feed=self._feed.name, bytes=self._splitter.pending)
                return
        if self._is_stopping:
            await self._take(await self._rest())
            await self._say_goodbye()
        self._report(self._splitter.finish())

    def stop(self) -> None:
        """Read no more. What was read is still kept and answered."""
        self._is_stopping = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())

    async def _next_chunk(self) -> bytes:
        """What comes next, empty at the end. Raises TimeoutError: a frame must be whole, or begin, within the limit."""
        try:
            async with asyncio.timeout_at(self._since + self._feed.idle_seconds) as self._patience:
                return await self._reader.read(READ)
        finally:
            self._patience = None

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
        for start in range(0, len(pieces), _AT_ONCE):
            await self._answer(pieces[start : start + _AT_ONCE])
        if pieces or not half:  # else the same frame goes on: its time does too
            self._since = asyncio.get_running_loop().time()

    async def _answer(self, pieces: Sequence[Piece]) -> None:
        contents = [frame_content(self._feed.name, p.payload) if isinstance(p, Frame) else None for p in pieces]
        self._report(pieces)
        kept = iter(await self._kept([one for c in contents if c for one in c.messages]))
        at, style = utc_now(), self._feed.ack
        for piece, content in zip(pieces, contents, strict=True):
            answers: Sequence[bytes] = ()
            if isinstance(piece, Oversize):
                error = AckError("", "207", f"the frame is larger than {self._feed.max_frame_bytes} bytes")
                answers = refuse(piece.head, error, at, style)
            elif content is not None and content.is_blank:
                log.warning("frame_empty", feed=self._feed.name)
                answers = refuse(b"", AckError("", "100", "the frame is empty"), at, style)
            elif content is not None:
                answers = answer_frame(content, [next(kept) for _ in content.messages], at, style)
            for answer in answers:
                self._writer.write(hl7v2.frame(answer))
        async with asyncio.timeout(self._feed.idle_seconds):
            await self._writer.drain()
        await asyncio.sleep(0)  # a read may hold thousands of small frames: the other connections have their turn

    async def _kept(self, incoming: list[Incoming]) -> list[Kept | None]:
        """What became of each once all are on the disk; None where it could not be kept (logged at the desk)."""
        futures = [asyncio.wrap_future(future) for future in self._desk.keep_together(incoming)] if incoming else []
        # Shielded: a future that is cancelled could not be told by the desk what became of its message.
        told = await asyncio.shield(asyncio.gather(*futures, return_exceptions=True))
        return [None if isinstance(one, BaseException) else one for one in told]

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
            if isinstance(piece, Oversize | HalfFrame | Noise):
                log.warning(EVENTS[type(piece)], feed=self._feed.name, bytes=piece.size)


EVENTS: dict[type[Piece], str] = {
    Oversize: "frame_too_large",
    HalfFrame: "frame_cut_off",
    Noise: "noise_between_frames",
}
