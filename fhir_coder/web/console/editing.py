"""A payload in a form's text field and back: nothing of it changes but what the person changed."""

from __future__ import annotations

from fhir_coder import hl7v2
from fhir_coder.errors import FhirCoderError

_MOST = 500_000
"""Bytes of a payload that a form takes."""
_CODECS = ("utf-8", "latin-1")


def as_text(body: bytes) -> tuple[str, str]:
    """A payload as text, and the codec that gives its bytes back. Raises FhirCoderError where a form cannot hold it."""
    if len(body) > _MOST or hl7v2.is_utf16(body) or b"\0" in body:
        raise FhirCoderError("this message cannot be edited in a form: fhir-coder messages edit opens it in an editor")
    try:
        text, codec = body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        # Every byte is a character of Latin-1 and comes back as itself, whatever charset the sender means.
        text, codec = body.decode("latin-1"), "latin-1"
    return text.replace("\r\n", "\n").replace("\r", "\n"), codec


def as_bytes(text: str, codec: str, like: bytes) -> bytes:
    """The payload of a form's text, with the line ends of the payload it was made of: a browser sends CR LF for each.

    Raises FhirCoderError where a character was typed that the message's charset does not have.
    """
    if codec not in _CODECS:
        raise FhirCoderError("the form was changed: open it again")
    end = "\r\n" if b"\r\n" in like else "\r" if b"\r" in like else "\n"
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        return lines.replace("\n", end).encode(codec)
    except UnicodeEncodeError:
        raise FhirCoderError("a character was typed that the charset of this message does not have") from None
