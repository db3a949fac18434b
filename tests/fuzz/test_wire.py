"""Frames and acknowledgments: whatever is sent, however it is cut, is answered as the standard says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.parser import parse_segments
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.hl7v2.ack import AckCode, AckError, build_ack
from fhir_coder.hl7v2.mllp_frame import FrameSplitter, Noise, Piece
from fhir_coder.hl7v2.reader import read_message
from tests.fuzz.messages import damaged_hl7

FRAMED = st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\n", b"\x1c\r", b"abc", b"MSH|"]) | st.binary(max_size=9))


def pieces(chunks: Sequence[bytes], limit: int) -> list[Piece]:
    """The pieces of a stream to its end, noise in one."""
    splitter = FrameSplitter(limit)
    found = [piece for chunk in chunks for piece in splitter.feed(chunk)] + splitter.finish()
    assert splitter.pending == 0
    merged: list[Piece] = []
    for piece in found:
        if isinstance(piece, Noise) and merged and isinstance(merged[-1], Noise):
            merged.append(Noise(merged.pop().size + piece.size))
        else:
            merged.append(piece)
    return merged


@given(FRAMED.map(b"".join), st.lists(st.integers(0, 400), max_size=12), st.integers(0, 12))
def test_frames_do_not_depend_on_how_the_stream_is_cut(stream: bytes, places: list[int], limit: int) -> None:
    cuts = sorted({0, len(stream), *(place for place in places if place < len(stream))})
    chunks = [stream[start:stop] for start, stop in itertools.pairwise(cuts)]
    whole = pieces([stream], limit)
    assert pieces(chunks, limit) == whole
    assert pieces([bytes([byte]) for byte in stream], limit) == whole


@given(FRAMED.map(b"".join))
def test_no_byte_of_a_stream_is_lost_count_of(stream: bytes) -> None:
    found = pieces([stream], 5)
    counted = sum(len(p.payload) if hasattr(p, "payload") else p.size for p in found)
    marks = sum(stream.count(mark) for mark in (b"\x0b", b"\x1c", b"\r", b"\n"))
    assert len(stream) - marks <= counted <= len(stream)


# --- acknowledgments

NAMES = st.text("ABC xyz09-_.", min_size=1, max_size=20).map(str.strip)
CODES: st.SearchStrategy[AckCode] = st.sampled_from(["AA", "AE", "AR", "CA", "CE", "CR"])
ERRORS = st.none() | st.builds(
    AckError,
    st.sampled_from(["", "MSH-9", "PID-3[2].4", "DG1[2]-3.1.2", "PV1", "elsewhere"]),
    st.sampled_from(["100", "101", "103", "200", "203", "207"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),  # our own words: ASCII
)
OLD = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1")
VERSIONS = st.sampled_from([*OLD, "2.6", "2.7", "2.8", "2.8.2", "", "9", "klingon"])


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """A message header as senders write them, in any order of odd and plain parts."""
    systems = [draw(st.sampled_from(["", "&", "^1.2.3^ISO"])).replace("&", "") for _ in range(4)]
    names = [draw(NAMES) + system for system in systems]
    version = draw(VERSIONS)
    kinds = ["ADT^A01", "ADT^A01^ADT_A01", "DFT^P03", "ZZZ^Z01"]
    if version in OLD:
        kinds += ["ADT", "", "ACK"]  # the event is required since 2.6, and an answer can only name the one that came
    kind = draw(st.sampled_from(kinds))
    fields = ["MSH", "^~\\&", *names, "20260301", "", kind, draw(NAMES | st.just("")), draw(st.sampled_from("PTD"))]
    tail = draw(st.sampled_from(["", "||||AL|NE", "||||||8859/1", "||||||UNICODE UTF-8"]))
    return ("|".join(fields) + "|" + version + tail + "\rPID|1").encode()


@given(headers(), CODES, ERRORS)
def test_an_answer_is_one_that_the_strict_validator_takes(body: bytes, code: AckCode, error: AckError | None) -> None:
    raw = build_ack(body, code, control_id="OUR-1", at="20260301120000", error=error)
    strict, version = VALIDATION_LEVEL.STRICT, read_message(raw).header.text(12)
    parsed = Message("ACK", version=version, validation_level=strict)
    parsed.children = parse_segments(raw.decode("latin-1"), version, validation_level=strict)
    assert parsed.validate()
    assert parsed.msa.msa_1.value == code


@given(st.binary(max_size=200) | damaged_hl7, CODES, ERRORS)
def test_whatever_comes_is_answered_in_one_readable_message(body: bytes, code: AckCode, error: AckError | None) -> None:
    for sent in (body, b"MSH" + body, b"MSH|^~\\&|" + body):
        answer = read_message(
            build_ack(sent, code, control_id="OUR-1", at="20260301120000", error=error), policy="replace"
        )
        assert [segment.name for segment in answer] == ["MSH", "MSA", "ERR"][: 3 if error else 2]
        msa = answer.segments("MSA")[0]
        assert msa.text(1) == code
        assert msa.raw(2)
