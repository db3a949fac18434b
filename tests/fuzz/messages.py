"""What the fuzz tests are made from: the fixtures' messages, and ways to damage them."""

from __future__ import annotations

import re
from functools import cache

from hypothesis import strategies as st

from fhir_coder.intake.payloads import payloads_in
from fhir_coder.shipped import shipped

_HL7_BITS = (
    b"|",
    b"^",
    b"~",
    b"\\",
    b"&",
    b'""',
    b"\r",
    b"\n",
    b"\r\n",
    b"\\X41",
    b"\\T\\",
    b"\\.sp9\\",
    b"MSH|",
    b"FT1|",
)
_JSON_BITS = (b"{", b"}", b"[", b"]", b'"', b"null", b"1e999", b"-0", b"{}", b"[]", b"\\u0000", b"\n", b'"#x"', b"NaN")


@cache
def fixture_messages(suffixes: tuple[str, ...]) -> list[bytes]:
    """The payloads of the fixtures' files of some kinds."""
    files = sorted(f for f in shipped("fixtures").rglob("*") if f.suffix in suffixes and f.name != "expected.json")
    return [payload for file in files for payload in payloads_in(file.read_bytes())]


@st.composite
def damaged(draw: st.DrawFn, suffixes: tuple[str, ...], bits: tuple[bytes, ...]) -> bytes:
    """A fixture's message with a few pieces cut out, doubled, swapped or replaced."""
    body = draw(st.sampled_from(fixture_messages(suffixes)))
    for _ in range(draw(st.integers(1, 6))):
        body = _damage(draw, body, bits)
    return body


def _damage(draw: st.DrawFn, body: bytes, bits: tuple[bytes, ...]) -> bytes:
    edges = [match.end() for match in re.finditer(rb"[|^~&\r\n{}\[\],:]", body)] or [0]
    start, stop = sorted((draw(st.sampled_from(edges)), draw(st.sampled_from(edges))))
    piece = body[start:stop]
    put = draw(st.sampled_from(("cut", "double", "move", "bit", "bytes")))
    if put == "cut":
        return body[:start] + body[stop:]
    if put == "double":
        return body[:stop] + piece[:2000] + body[stop:]
    if put == "move":
        rest = body[:start] + body[stop:]
        at = draw(st.integers(0, len(rest)))
        return rest[:at] + piece + rest[at:]
    said = draw(st.sampled_from(bits)) if put == "bit" else draw(st.binary(max_size=12))
    return body[:start] + said + body[draw(st.sampled_from((start, stop))) :]


damaged_hl7 = damaged((".hl7",), _HL7_BITS)
damaged_fhir = damaged((".json", ".ndjson"), _JSON_BITS)
