"""Whatever comes is read or refused with a reason: any bytes, and messages that something has damaged."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_coder import fhir, hl7v2
from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2.charset import Policy, codec_of, decode
from fhir_coder.hl7v2.reader import DELETE, Er7Message, Field, Syntax, read_message
from fhir_coder.intake.payloads import header_or_fault, payloads_in
from fhir_coder.intake.stream import TooLarge, payloads_of_stream
from fhir_coder.model import Message, MessageStatus, Verdict
from fhir_coder.pipeline import facts_of, judge
from tests.building import rulebook
from tests.fuzz.messages import damaged_fhir, damaged_hl7

POLICIES: st.SearchStrategy[Policy] = st.sampled_from(["strict", "replace", "fallback"])
CHARSETS = [
    "ASCII",
    "8859/1",
    "8859/15",
    "8859/16",
    "UNICODE UTF-8",
    "UNICODE",
    "ISO IR87",
    "ISO IR159",
    "GB 18030-2000",
]
PATH = re.compile(r"([A-Z][A-Z0-9]{2}(\[\d+\])?-\d+)?")
HEAD = b"MSH|^~\\&|A|B|||2026||ADT^A08|1|P|2.5"


def read_or_refused(body: bytes, policy: Policy, default: str = "utf-8") -> Er7Message | None:
    refused = None
    try:
        return read_message(body, default, policy)
    except UnreadableError as error:
        refused = error
    assert PATH.fullmatch(refused.path)
    assert refused.rule in ("empty", "no_msh", "bad_encoding_characters", "charset")
    assert refused.__context__ is None or refused.__suppress_context__
    return None


def looked_at(message: Er7Message) -> None:
    """Every segment, field, repetition, component and subcomponent of a message, as it reads it and plainly cut."""
    syntax = message.syntax
    for segment in message:
        assert segment.path.startswith(segment.name)
        for number in range(1, segment.count + 2):
            for field in segment.repetitions(number):
                assert segment.path_of(number, field.place).startswith(f"{segment.path}-{number}")
                parts = field.raw.split(syntax.component)
                for component in range(1, len(parts) + 2):
                    inner = parts[component - 1].split(syntax.subcomponent) if component <= len(parts) else [""]
                    for place, raw in enumerate([*inner, ""], 1):
                        assert field.text(component, place) == as_text(raw, syntax)


def as_text(raw: str, syntax: Syntax) -> str:
    """A subcomponent as text, the long way."""
    return "" if raw.strip() == DELETE else syntax.unescape(raw.strip())


@given(
    st.binary(max_size=300), POLICIES, st.sampled_from(["utf-8", "ascii", "cp1252", "shift_jis", "utf-16", "klingon"])
)
def test_any_bytes_are_a_message_or_refused_with_a_path(tail: bytes, policy: Policy, default: str) -> None:
    for body in (tail, b"MSH" + tail, b"MSH|^~\\&" + tail, HEAD + tail, HEAD.decode().encode("utf-16") + tail):
        message = read_or_refused(body, policy, default)
        if message is not None:
            looked_at(message)


@given(damaged_hl7, POLICIES)
@example(HEAD + b"\rPID|1|\rgoes on|x", "strict")
def test_damaged_messages_are_read_or_refused(body: bytes, policy: Policy) -> None:
    message = read_or_refused(body, policy)
    if message is not None:
        looked_at(message)


# --- what is written is read as it was

MARKS = st.lists(st.sampled_from("|^~\\&#!@$%*:;<>/?"), min_size=5, max_size=6, unique=True).map("".join)
VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=12).filter(
    lambda value: value != DELETE
)
SUBCOMPONENTS = st.lists(VALUES, min_size=1, max_size=3)
FIELDS = st.lists(st.lists(st.lists(SUBCOMPONENTS, min_size=1, max_size=3), min_size=1, max_size=3), max_size=6)


@dataclass(frozen=True)
class Written:
    """A message by its parts, and its text."""

    segments: list[tuple[str, list[list[list[list[str]]]]]]
    text: str


@st.composite
def written(draw: st.DrawFn) -> Written:
    marks = draw(MARKS)
    line = f"MSH{marks[0]}{marks[1:]}"
    syntax = read_message(line).syntax
    names = st.sampled_from(["PID", "PV1", "FT1", "ZX9"])
    segments = draw(st.lists(st.tuples(names, FIELDS), max_size=4))

    def joined(parts: Iterable[str], mark: str) -> str:
        return mark.join(parts)

    lines = [line]
    for name, fields in segments:
        repeated = [
            joined(
                (
                    joined(
                        (joined(map(syntax.escaped, subs), syntax.subcomponent) for subs in components),
                        syntax.component,
                    )
                    for components in repetitions
                ),
                syntax.repetition,
            )
            for repetitions in fields
        ]
        lines.append(joined([name, *repeated], syntax.field))
    return Written(segments, draw(st.sampled_from(["\r", "\n", "\r\n"])).join(lines))


@given(written())
def test_what_is_written_is_read_as_it_was(message: Written) -> None:
    read = list(read_message(message.text))[1:]
    assert [segment.name for segment in read] == [name for name, _ in message.segments]
    for segment, (_, fields) in zip(read, message.segments, strict=True):
        for number, repetitions in enumerate(fields, 1):
            parts = segment.raw_repetitions(number)
            assert len(parts) == len(repetitions)
            for place, components in enumerate(repetitions):
                for at, subcomponents in enumerate(components, 1):
                    field = Field(parts[place], segment.syntax)
                    assert [field.text(at, sub) for sub in range(1, len(subcomponents) + 1)] == subcomponents


@given(st.text(max_size=40))
def test_what_is_escaped_is_unescaped(text: str) -> None:
    syntax = read_message(HEAD).syntax
    broken = text.replace("\n", "\r")
    assert syntax.unescape(syntax.escaped(text)).replace("\n", "\r") == broken
    assert not set("|^~&\r\n") & set(syntax.escaped(text))


# --- character sets


@given(
    st.binary(max_size=60),
    st.lists(st.sampled_from([*CHARSETS, "KLINGON", ""]) | st.text(max_size=8), max_size=3),
    POLICIES,
)
def test_any_bytes_of_any_declared_set_are_text_or_refused(tail: bytes, declared: list[str], policy: Policy) -> None:
    names = "~".join(declared).encode("utf-8", "replace").translate(None, b"|\r\n")
    with contextlib.suppress(UnreadableError):
        assert decode(HEAD + b"||||||" + names + b"|\rPID|" + tail, policy=policy).startswith("MSH")


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=30), st.sampled_from(CHARSETS), POLICIES)
def test_text_of_a_declared_set_comes_back(text: str, declared: str, policy: Policy) -> None:
    body = f"{HEAD.decode()}||||||{declared}\rPID|{text}"
    with contextlib.suppress(UnicodeEncodeError):
        sent = body.encode(codec_of((declared,)))
        if sent.decode(codec_of((declared,))) == body:  # some Japanese characters have two codes
            assert decode(sent, policy=policy) == body


# --- payloads


@given(st.lists(damaged_fhir | st.binary(max_size=30), max_size=4), st.integers(1, 4000), st.integers(50, 3000))
@example([b"{}\n{}"], 1, 50)
def test_fhir_payloads_are_cut_or_told_and_nothing_else_is_raised(parts: list[bytes], block: int, limit: int) -> None:
    data = b"\n".join(parts)
    for payload in payloads_in(data):
        header, fault = header_or_fault(payload)
        assert fault or header.type
    blocks = (data[at : at + block] for at in range(0, len(data), block))
    for one in payloads_of_stream(blocks, limit):
        assert isinstance(one, TooLarge) or len(one) <= limit


@given(st.lists(st.binary(max_size=30).filter(lambda line: not set(line) & set(b"\r\n")), max_size=6))
def test_lines_of_ndjson_are_numbered_as_they_stand(lines: list[bytes]) -> None:
    found = dict(fhir.split_ndjson(b"\n".join(lines)))
    bare = {n: line.removeprefix(b"\xef\xbb\xbf").strip() for n, line in enumerate(lines, 1)}
    assert {n: line.strip() for n, line in found.items()} == {n: line for n, line in bare.items() if line}


# --- facts


def verdict_on(body: bytes) -> Verdict | None:
    header, fault = header_or_fault(body)
    if fault:
        return None
    return judge(lambda: facts_of(Message("m1", body, header), rulebook()))


@given(damaged_hl7)
def test_damaged_hl7_messages_give_facts_or_a_reason(body: bytes) -> None:
    found = verdict_on(body)
    assert found is None or found.status in (MessageStatus.CHARTED, MessageStatus.IGNORED) or found.why


@given(damaged_fhir)
def test_damaged_fhir_payloads_give_facts_or_a_reason(body: bytes) -> None:
    found = verdict_on(body)
    assert found is None or found.status in (MessageStatus.CHARTED, MessageStatus.IGNORED) or found.why


@pytest.mark.parametrize("name", CHARSETS)
def test_the_sets_tried_here_are_known(name: str) -> None:
    assert codec_of((name,))


@given(damaged_hl7)
def test_damaged_messages_are_split_and_none_is_lost(body: bytes) -> None:
    found = [payload for _, payload in hl7v2.split_messages(body)]
    kept = b"".join(found)
    if not re.search(rb"FHS|BHS|BTS|FTS", body):
        dropped = b"\xef\xbb\xbf \t\r\n\x0b\x1c"
        assert kept.translate(None, dropped) == body.translate(None, dropped)
