"""What the terminal shows of a message: as received, or parsed. No control character of it reaches the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from fhir_coder import fhir, hl7v2
from fhir_coder.model import Json, MessageFormat
from fhir_coder.screens import aligned, cell, moved, section


def message_text(story: Any) -> str:
    """A message of the ledger: what became of it, then the payload with its control characters visible."""
    title = "as edited" if story.corrected else "as received"
    lines = [*_head(story), *_payload(title, story.row.body)]
    if story.corrected:
        lines += _payload(f"what it corrects: message {story.corrected.id}", story.corrected.body)
    if story.correction:
        lines += _payload(f"what corrects it: message {story.correction.id}", story.correction.body)
    return "\n".join(lines)


def parsed_text(story: Any, charset: str = "utf-8") -> str:
    """A message of the ledger: what became of it, then each part with its name in the standard.

    `charset` is what the feed supposes where the message declares none. Raises UnreadableError.
    """
    body = story.row.body
    if story.row.format == MessageFormat.FHIR:
        return "\n".join([*_head(story), "", *_tree(fhir.load(body))])
    return "\n".join([*_head(story), *_segments(hl7v2.read_message(body, charset, "replace"))])


def _head(story: Any) -> list[str]:
    row = story.row
    lines = ["   ".join(filter(None, [row.id, row.feed, row.format, row.type, row.control_id, row.status]))]
    if row.reason:
        lines.append(f"  {row.reason}")
    if story.corrected:
        lines.append(f"  corrects message {story.corrected.id} ({story.corrected.status})")
    if story.correction:
        lines.append(f"  corrected by message {story.correction.id} ({story.correction.status})")
    lines += section("belongs to", [[topic] for topic in story.topics])
    lines += section("history", [[cell(e.at), moved(e), e.why, e.actor] for e in story.events])
    return lines


def _payload(title: str, body: bytes) -> list[str]:
    return ["", f"  {title}", *("   " + line for line in visible(body))]


def _segments(message: hl7v2.Er7Message) -> Iterator[str]:
    from fhir_coder.hl7v2.fieldnames import message_parts  # loads the standard's structures: only when asked

    for segment, parts in message_parts(message):
        yield from ("", f"  {one_line(segment.path)}")
        rows = [["  " * p.depth + one_line(p.path), p.name, one_line(p.value)] for p in parts]
        yield from aligned(rows, indent=3, has_amounts=False)


def _tree(resource: Json) -> Iterator[str]:
    for depth, _, name, said in tree_rows(resource):
        yield "  " * (depth + 1) + f"{name}  {said}".rstrip()


def tree_rows(resource: Json) -> Iterator[tuple[int, str, str, str]]:
    """A resource as rows of depth, FHIR path, element and value. A stack: a hostile one is a thousand levels deep."""
    kind = str(resource["resourceType"])
    waiting: list[tuple[int, str, str, Any]] = [(0, kind, kind, resource)]
    while waiting:
        depth, path, name, value = waiting.pop()
        if isinstance(value, dict) and value:
            yield depth, one_line(path), one_line(name), ""
            waiting += reversed([(depth + 1, f"{path}.{key}", key, inner) for key, inner in value.items()])
        elif isinstance(value, list) and value:
            many = [(depth, f"{path}[{n}]", f"{name}[{n}]", inner) for n, inner in enumerate(value)]
            waiting += reversed(many)
        else:
            said = value if isinstance(value, str) else orjson.dumps(value).decode()
            yield depth, one_line(path), one_line(name), one_line(said)


def one_line(text: str) -> str:
    """Text with its control characters as pictures, line ends among them."""
    return text.translate(_PICTURES)


def visible(body: bytes) -> list[str]:
    """A payload as lines, each control character shown as its Unicode picture (␍ ␊ ␋ ␜), none as itself."""
    codec = "utf-16" if hl7v2.is_utf16(body) else "utf-8"
    text = body.decode(codec, "backslashreplace").translate(_PICTURES)
    lines = re.sub("␍␊|␍|␊", lambda end: f"{end[0]}\n", text).split("\n")
    return lines if lines[-1] else lines[:-1]


_PICTURES = {code: chr(0x2400 + code) for code in range(32)} | {0x7F: "␡"}
_PICTURES |= {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}  # some terminals obey these too
_UNSEEN = (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
"""Zero widths, line ends, directions (which show a name backwards) and the byte order mark."""
_PICTURES |= {code: f"\\u{code:04x}" for code in _UNSEEN}
