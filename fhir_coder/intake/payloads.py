"""Bytes of unknown kind to payloads: HL7 v2 messages, FHIR resources and Bundles, NDJSON lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_coder import fhir, hl7v2
from fhir_coder.errors import UnreadableError
from fhir_coder.model import Header, MessageFormat

_MARKS = b"\xef\xbb\xbf \t\r\n"


def payloads_in(data: bytes) -> Iterator[bytes]:
    """The payloads of a file or body, nothing left out: what cannot be read comes as a payload of its own.

    JSON that is one document is one payload; JSON lines are one payload each, a broken line among them too; all else
    is split as HL7 v2.
    """
    if not fhir.looks_like_fhir(data):
        yield from (payload for _, payload in hl7v2.split_messages(data))
        return
    lines = [line for _, line in fhir.split_ndjson(data)]
    if len(lines) > 1 and (all(line.startswith(b"{") for line in lines) or is_resource(lines[0])):
        yield from lines
    else:
        yield data


def is_resource(line: bytes) -> bool:
    """Whether a line is one whole FHIR resource."""
    try:
        fhir.load(line)
    except UnreadableError:
        return False
    return True


def read_header(body: bytes) -> Header:
    """What must be known of a payload before it is kept. Raises UnreadableError."""
    if not body.strip(_MARKS):
        raise UnreadableError("", "empty", "the payload is empty")
    if fhir.looks_like_json(body):
        return fhir.read_header(body)
    try:
        return hl7v2.read_header(body)
    except UnreadableError as error:
        if error.rule == "no_msh":
            raise UnreadableError(
                error.path, "not_hl7_not_fhir", "neither HL7 v2 (no MSH segment) nor FHIR JSON"
            ) from None
        raise


def header_or_fault(body: bytes) -> tuple[Header, str]:
    """A payload's header, or one of unknown format with the reason why it has none."""
    try:
        return read_header(body), ""
    except UnreadableError as error:
        return Header(MessageFormat.UNKNOWN), str(error)
