"""MLLP listener: frames in, messages kept, acknowledgments out after the commit (HL7 v2 Transport, MLLP release 1)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Sequence
from concurrent.futures import Future

from fhir_coder import hl7v2
from fhir_coder.hl7v2 import AckError, Frame, FrameSplitter, HalfFrame, Noise, Oversize, Piece
from fhir_coder.intake.answer import acknowledge, incoming_v2
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.logs import log
from fhir_coder.settings import MllpFeed
from fhir_coder.store.ids import new_id
from fhir_coder.store.ledger import utc_now
from fhir_coder.store.messages import Incoming, Kept

_READ = 64 * 1024


class MllpListener:
    """One feed's listener on an open socket."""

    def __init__(self, feed: MllpFeed, desk: IntakeDesk) -> None:
        self._feed, self._desk = feed, desk
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, bound: socket.socket) -> None:
        """Start to accept connections."""
        self._server = await asyncio.start_server(self._accept, sock=bound)

    async def stop(self) -> None:
        """Accept no more; what was read is still kept and answered."""
        if self._server:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the peer went away, or we stop: what was acknowledged is on the disk
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = FrameSplitter(limit=self._feed.max_frame_bytes)
        while chunk := await reader.read(_READ):
            pieces = splitter.feed(chunk)
            if pieces:
                await asyncio.shield(self._take(pieces, writer))
        self._report(splitter.finish())

    async def _take(self, pieces: Sequence[Piece], writer: asyncio.StreamWriter) -> None:
        """Keep all messages of what was read with one flush, then answer each in order."""
        answers = [self._answers(piece) for piece in pieces]
        self._report(pieces)
        for waiting in answers:
            for answer in await waiting:
                writer.write(hl7v2.frame(answer))
        await writer.drain()

    def _answers(self, piece: Piece) -> Awaitable[list[bytes]]:
        """Hand the messages of one piece in now; answer what to say once they are on the disk."""
        handed_in: list[tuple[Incoming, Future[Kept]]] = []
        if isinstance(piece, Frame):
            bodies = [body for _, body in hl7v2.split_messages(piece.payload)] or [piece.payload]
            for body in bodies:
                incoming = incoming_v2(self._feed.name, body)
                handed_in.append((incoming, self._desk.keep(incoming)))
        return self._said_of(handed_in, piece)

    async def _said_of(self, handed_in: list[tuple[Incoming, Future[Kept]]], piece: Piece) -> list[bytes]:
        if isinstance(piece, Oversize):
            error = AckError("", "207", f"the frame is larger than {self._feed.max_frame_bytes} bytes")
            at = utc_now().strftime("%Y%m%d%H%M%S+0000")
            return [hl7v2.build_ack(piece.head, "AR", control_id=new_id(utc_now())[-20:], at=at, error=error)]
        said: list[bytes] = []
        for incoming, future in handed_in:
            try:
                kept: Kept | None = await asyncio.wrap_future(future)
            except Exception:
                kept = None  # logged at the desk; the sender gets AE and keeps its message
            said += acknowledge(incoming, kept, utc_now())
        return said

    def _report(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, Oversize | HalfFrame | Noise):
                log.warning(_EVENTS[type(piece)], feed=self._feed.name, bytes=piece.size)


_EVENTS: dict[type[Piece], str] = {
    Oversize: "frame_too_large",
    HalfFrame: "frame_cut_off",
    Noise: "noise_between_frames",
}
