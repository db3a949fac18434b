"""MLLP frames out of a stream."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.hl7v2.mllp_frame import HEAD, Frame, FrameSplitter, GivenUp, HalfFrame, Noise, Oversize, Piece, frame


def pieces(*chunks: bytes, limit: int = 100) -> list[Piece]:
    splitter = FrameSplitter(limit)
    return [piece for chunk in chunks for piece in splitter.feed(chunk)]


def test_frame_is_start_payload_end_return() -> None:
    assert frame(b"MSH") == b"\x0bMSH\x1c\x0d"


@pytest.mark.parametrize(
    "chunks",
    [
        (b"\x0bone\x1c\x0d\x0btwo\x1c\x0d",),
        (b"\x0bo", b"n", b"e\x1c", b"\x0d\x0b", b"two\x1c\x0d"),
        (b"\x0bone\x1c\x0btwo\x1c",),
        (b"\x0bone\x1c\r\n\r\n\x0btwo\x1c\r",),
    ],
)
def test_frames_are_found_however_they_are_cut(chunks: tuple[bytes, ...]) -> None:
    assert pieces(*chunks) == [Frame(b"one"), Frame(b"two")]


def test_noise_between_frames_is_counted_and_passed_over() -> None:
    assert pieces(b"GET /\r\n\x0bone\x1c\x0dxx", b"y\x0btwo\x1c") == [
        Noise(5),
        Frame(b"one"),
        Noise(2),
        Noise(1),
        Frame(b"two"),
    ]


def test_oversize_frame_is_reported_with_its_head_and_the_next_one_is_read() -> None:
    body = b"MSH|" + b"x" * 10_000
    assert pieces(b"\x0b" + body[:50], body[50:300], body[300:] + b"\x1c\x0d", frame(b"two")) == [
        Oversize(body[:HEAD], len(body)),
        Frame(b"two"),
    ]


def test_frame_of_exactly_the_limit_is_whole() -> None:
    assert pieces(frame(b"x" * 100)) == [Frame(b"x" * 100)]
    assert pieces(frame(b"x" * 101)) == [Oversize(b"x" * 101, 101)]


def test_oversize_frame_takes_no_memory_beyond_its_head() -> None:
    splitter = FrameSplitter(limit=10)
    splitter.feed(b"\x0b")
    for _ in range(100):
        splitter.feed(b"x" * 1000)
    assert splitter.pending == 100_001
    assert splitter.feed(b"\x1c") == [Oversize(b"x" * HEAD, 100_000)]


def test_a_frame_that_is_given_up_keeps_its_head_and_the_next_one_is_read() -> None:
    splitter = FrameSplitter(limit=100_000)
    splitter.give_up()
    assert splitter.feed(b"\x0b" + b"x" * 50_000) == []
    assert splitter.held == 50_000
    splitter.give_up()
    assert splitter.feed(b"y" * 10_000) == []
    assert splitter.held == HEAD
    assert splitter.feed(b"\x1c\r\x0btwo\x1c\r") == [GivenUp(b"x" * HEAD, 60_000), Frame(b"two")]
    assert splitter.held == 0


def test_new_start_before_the_end_cuts_the_frame_off() -> None:
    assert pieces(b"\x0bhal\x0bone\x1c\x0d") == [HalfFrame(b"hal", 3), Frame(b"one")]


def test_end_of_the_stream_inside_a_frame_leaves_half_a_frame() -> None:
    splitter = FrameSplitter()
    splitter.feed(b"\x0bhal")
    assert splitter.pending == 4
    assert splitter.finish() == [HalfFrame(b"hal", 3)]
    assert (splitter.pending, splitter.finish()) == (0, [])


def merged(found: list[Piece]) -> list[Piece]:
    result: list[Piece] = []
    for piece in found:
        if isinstance(piece, Noise) and result and isinstance(result[-1], Noise):
            result[-1] = Noise(result[-1].size + piece.size)
        else:
            result.append(piece)
    return result


@given(
    st.binary(max_size=60).map(lambda raw: raw.translate(bytes(b"\x0b\x1c\x0dabc"[i % 6] for i in range(256)))),
    st.data(),
)
def test_cutting_of_the_stream_changes_nothing(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    places = [0, *cuts, len(stream)]
    chunks = [stream[start:stop] for start, stop in itertools.pairwise(places)]
    assert merged(pieces(*chunks, limit=4)) == merged(pieces(stream, limit=4))


@given(st.lists(st.binary(max_size=20).filter(lambda raw: not set(raw) & {0x0B, 0x1C})))
def test_what_was_framed_comes_out(payloads: list[bytes]) -> None:
    assert pieces(b"".join(map(frame, payloads))) == [Frame(payload) for payload in payloads]
