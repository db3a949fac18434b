"""MLLP framing: `0x0B` message `0x1C 0x0D`, cut out of a stream that comes in any pieces."""

from __future__ import annotations

from dataclasses import dataclass

START = 0x0B
END = 0x1C
_BLANK = b"\r\n"
DEFAULT_LIMIT = 16 * 1024 * 1024
HEAD = 4096


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame's payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Oversize:
    """A frame over the limit: its first 4 KiB, enough for MSH and a negative answer, and its size in bytes."""

    head: bytes
    size: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A frame that was not kept because there was no room for it: its head and its size in bytes."""

    head: bytes
    size: int


@dataclass(frozen=True, slots=True)
class HalfFrame:
    """A frame that a new start block, or the end of the stream, cut off before its end block."""

    head: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Noise:
    """How many bytes came outside of any frame; line ends between frames do not count."""

    size: int


Piece = Frame | Oversize | GivenUp | HalfFrame | Noise


def frame(payload: bytes) -> bytes:
    """The payload as a frame."""
    return bytes((START,)) + payload + bytes((END, 0x0D))


class FrameSplitter:
    """Cuts frames out of a stream. A frame ends at `0x1C`, whether or not `0x0D` follows.

    An oversize frame is passed over without being kept, and reported when it ends, so that answers keep their order.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self._inside = False
        self._is_given_up = False
        self._kept = bytearray()
        self._size = 0

    @property
    def held(self) -> int:
        """Bytes in memory of the frame that has begun and not ended."""
        return len(self._kept) if self._inside else 0

    def give_up(self) -> None:
        """Keep no more of the frame that has begun than its head; it is reported as given up when it ends."""
        self._is_given_up = self._inside
        del self._kept[HEAD:]

    @property
    def pending(self) -> int:
        """Bytes of the frame that has begun and not ended; 0 between frames."""
        return self._size + 1 if self._inside else 0

    def feed(self, chunk: bytes) -> list[Piece]:
        """The pieces that this chunk completes, in order."""
        if not self._inside and self._is_one_frame(chunk):
            return [Frame(chunk[1:-2])]
        pieces: list[Piece] = []
        at = 0
        while at < len(chunk):
            at = self._inside_frame(chunk, at, pieces) if self._inside else self._between(chunk, at, pieces)
        return pieces

    def finish(self) -> list[Piece]:
        """What is left when the stream has ended: a half frame, or nothing."""
        if not self._inside:
            return []
        self._inside = False
        return [self._cut_off()]

    def _is_one_frame(self, chunk: bytes) -> bool:
        """Whether a chunk is a frame and nothing else, as most are: it is spared the way piece by piece."""
        last = len(chunk) - 2
        is_enclosed = chunk.find(START, 1) < 0 <= last == chunk.find(END) and chunk[0] == START and chunk[-1] == 0x0D
        return is_enclosed and last - 1 <= self.limit

    def _between(self, chunk: bytes, at: int, pieces: list[Piece]) -> int:
        start = chunk.find(START, at)
        stop = start if start >= 0 else len(chunk)
        noise = len(chunk[at:stop].translate(None, _BLANK))
        if noise:
            pieces.append(Noise(noise))
        if start >= 0:
            self._begin()
        return stop + 1

    def _inside_frame(self, chunk: bytes, at: int, pieces: list[Piece]) -> int:
        end, restart = chunk.find(END, at), chunk.find(START, at)
        stop = min((place for place in (end, restart) if place >= 0), default=len(chunk))
        self._keep(chunk, at, stop)
        if stop == len(chunk):
            return stop
        if stop == end:
            pieces.append(self._ended())
            self._inside = False
        else:
            pieces.append(self._cut_off())
            self._begin()
        return stop + 1

    def _begin(self) -> None:
        self._inside = True
        self._is_given_up = False
        self._kept = bytearray()
        self._size = 0

    def _keep(self, chunk: bytes, at: int, stop: int) -> None:
        self._size += stop - at
        if self._size <= self.limit and not self._is_given_up:
            self._kept += chunk[at:stop]
            return
        missing = max(0, HEAD - len(self._kept))
        self._kept += chunk[at : min(stop, at + missing)]
        del self._kept[HEAD:]

    def _ended(self) -> Piece:
        if self._size > self.limit:
            return Oversize(bytes(self._kept[:HEAD]), self._size)
        if self._is_given_up:
            return GivenUp(bytes(self._kept), self._size)
        return Frame(bytes(self._kept))

    def _cut_off(self) -> HalfFrame:
        return HalfFrame(bytes(self._kept[:HEAD]), self._size)
