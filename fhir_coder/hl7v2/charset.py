"""Bytes of a message to text, by what MSH-18 declares (HL7 table 0211)."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Literal

from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2.outline import outline_of

Policy = Literal["strict", "replace", "fallback"]
"""What is done about bytes that are not of the character set they should be of."""

_FRAMING = b"\x0b\x1c \t\r\n"
_CODECS = {
    "ASCII": "ascii",
    "ISOIR6": "ascii",
    "UNICODE": "utf-8",
    "UNICODEUTF8": "utf-8",
    "UTF8": "utf-8",
    "UNICODEUTF16": "utf-16",
    "UTF16": "utf-16",
    "UNICODEUTF32": "utf-32",
    # The Japanese sets switch inside one ISO 2022 stream; this codec follows all of their switches.
    "ISOIR14": "iso2022_jp_ext",
    "ISOIR87": "iso2022_jp_ext",
    "ISOIR159": "iso2022_jp_ext",
    "GB180302000": "gb18030",
    "KSX1001": "euc_kr",
    "BIG5": "big5",
    "WINDOWS1252": "cp1252",
    "CP1252": "cp1252",
}
_WIDE = {"utf-16", "utf-32"}
_LATIN = re.compile(r"(?:ISO)?8859(\d{1,2})")


def decode(body: bytes, default: str = "utf-8", policy: Policy = "strict", fallback: str = "cp1252") -> str:
    """The text of a message; `decode_named` says how it was read."""
    return decode_named(body, default, policy, fallback)[0]


def decode_named(
    body: bytes, default: str = "utf-8", policy: Policy = "strict", fallback: str = "cp1252"
) -> tuple[str, str]:
    """Decode a message by its byte order mark, else by MSH-18, else by the feed's default and then its fallback.

    Where the declared set is unknown or the bytes are not of it: `policy` strict refuses the message, replace puts
    U+FFFD for such bytes, fallback reads the message by `fallback` instead. Answers the text with the codec that it
    was meant to be of. Raises UnreadableError (rule `charset`).
    """
    marked = marked_codec(body)
    if marked:
        return _decoded(body, marked, policy, ""), marked
    declared = declared_charsets(body)
    if not declared:
        return _decoded_undeclared(body, default, policy, fallback), default
    codec = codec_of(declared)
    if not codec and policy == "strict":
        raise UnreadableError("MSH-18", "charset", "unknown character set")
    if not codec:
        first = fallback if policy == "fallback" else default
        return _decoded_undeclared(body, first, policy, fallback), first
    if policy == "fallback":
        return _decoded_or(body, codec, fallback), codec
    return _decoded(body, codec, policy, "MSH-18"), codec


def marked_codec(body: bytes) -> str:
    """The codec that a byte order mark, or a UTF-16 `MSH`, gives away; empty where there is none."""
    if body.startswith(b"MSH"):
        return ""
    if body.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if body.startswith(b"M\0S\0H\0"):
        return "utf-16-le"
    return "utf-16-be" if body.startswith(b"\0M\0S\0H") else ""


def declared_charsets(body: bytes) -> tuple[str, ...]:
    """The repetitions of MSH-18 as sent, empty where the message names none."""
    outlined = outline_of(body)
    return _declared_by_outline(outlined[0]) if outlined else _declared(first_line(body))


def _declared(line: bytes) -> tuple[str, ...]:
    if not line.startswith(b"MSH") or len(line) < 8:
        return ()
    fields = line.split(line[3:4], 18)
    raw = fields[17] if len(fields) > 17 else b""
    if not raw:
        return ()
    names = (name.decode("ascii", "replace").strip() for name in raw.split(line[5:6]))
    return tuple(name for name in names if name and name != '""')


_declared_by_outline = lru_cache(maxsize=256)(_declared)


def first_line(body: bytes) -> bytes:
    """The first line of a body, what frames it left out."""
    head = body.lstrip(_FRAMING)
    end = head.find(b"\r")
    line = head if end < 0 else head[:end]
    end = line.find(b"\n")
    return line if end < 0 else line[:end]


def codec_of(names: tuple[str, ...]) -> str:
    """The Python codec for the declared sets, empty where one of them is unknown.

    Several sets mean that later ones are switched to by ISO 2022, so the widest one reads them all.
    """
    found = [_codec(name) for name in names]
    if not all(found):
        return ""
    # Where MSH could be read byte by byte the message is not UTF-16, whatever it says of itself.
    narrow = ["utf-8" if codec in _WIDE else codec for codec in found]
    return next((codec for codec in narrow if codec != "ascii"), "ascii")


@lru_cache(maxsize=256)
def _codec(name: str) -> str:
    key = re.sub(r"[\s_/.-]", "", name.upper())
    latin = _LATIN.fullmatch(key)
    if latin is None:
        return _CODECS.get(key, "")
    number = int(latin[1])
    return f"iso8859-{number}" if number in range(1, 17) and number != 12 else ""


def _decoded_undeclared(body: bytes, default: str, policy: Policy, fallback: str) -> str:
    try:
        return body.decode(default)
    except (UnicodeDecodeError, LookupError):
        return _decoded(body, fallback or default, policy, "")


def _decoded_or(body: bytes, codec: str, fallback: str) -> str:
    try:
        return body.decode(codec)
    except UnicodeDecodeError:
        return _decoded(body, fallback or codec, "strict", "MSH-18")


def _decoded(body: bytes, codec: str, policy: Policy, path: str) -> str:
    try:
        return body.decode(codec, "replace" if policy == "replace" else "strict")
    except (UnicodeDecodeError, LookupError):
        raise UnreadableError(path, "charset", "bytes do not fit the character set") from None
