"""Batch trailers that announce another number than came."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from typer.testing import CliRunner

from fhir_coder import hl7v2
from fhir_coder.cli import cli
from fhir_coder.intake.answer import frame_content

FHS, BHS = b"FHS|^~\\&|LAB|HOSP\r", b"BHS|^~\\&|LAB|HOSP\r"
MESSAGE = b"MSH|^~\\&|LAB|HOSP|||20260301||ADT^A08|C1|P|2.5.1\rPID|1||5^^^A^MR||Poisonname\r"


def told(payload: bytes) -> list[tuple[str, int, int]]:
    return [(one.path, one.declared, one.found) for one in hl7v2.miscounts(payload)]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (BHS + MESSAGE + b"BTS|1\r", []),
        (BHS + MESSAGE + b"BTS|2\r", [("BTS[1]-1", 2, 1)]),
        (BHS + MESSAGE + MESSAGE + b"BTS| 1 ^x|note\r", [("BTS[1]-1", 1, 2)]),
        (BHS + b"BTS|1\r", [("BTS[1]-1", 1, 0)]),
        (BHS + MESSAGE + b"BTS\r", []),
        (BHS + MESSAGE + b"BTS||2\r", []),
        (BHS + MESSAGE + b"BTS|many\r", []),
        (MESSAGE + b"BTS|3\r", [("BTS[1]-1", 3, 1)]),
        (FHS + BHS + MESSAGE + b"BTS|1\r" + BHS + b"BTS|1\rFTS|3\r", [("BTS[2]-1", 1, 0), ("FTS-1", 3, 2)]),
        (FHS + MESSAGE + b"BTS|1\rFTS|1\r", []),
        (BHS.replace(b"|", b"#") + MESSAGE.replace(b"|", b"#") + b"BTS#4", [("BTS[1]-1", 4, 1)]),
        (b"\xef\xbb\xbf" + BHS + b"\n" + MESSAGE.replace(b"\r", b"\r\n") + b" BTS|4\r\n", [("BTS[1]-1", 4, 1)]),
    ],
)
def test_trailers_are_compared_with_what_came(payload: bytes, expected: list[tuple[str, int, int]]) -> None:
    assert told(payload) == expected


def test_words_inside_a_line_are_no_trailer() -> None:
    assert told(BHS + MESSAGE + b"NTE|1||BTS|9\rBTSX|9\rBTS|1\r") == []


@given(st.integers(0, 3), st.integers(0, 3), st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_blocks_of_any_size_are_counted_as_the_whole(messages: int, declared: int, sizes: list[int]) -> None:
    long = MESSAGE + b"OBX|1|ED|||" + b"A" * 700 + b"\r"
    payload = FHS + (BHS + long * messages + b"BTS|%d\r" % declared) * 2 + b"FTS|%d\r" % declared
    count, blocks, at = hl7v2.BatchCount(), list[bytes](), 0
    for size in [*sizes, len(payload)]:
        blocks.append(payload[at : at + size])
        at += size
    assert b"".join(hl7v2.counted(blocks, count)) == payload
    assert count.finish() == hl7v2.miscounts(payload)


def test_answer_to_a_batch_tells_the_count_in_the_comment_of_its_trailer() -> None:
    batch = hl7v2.read_batches(FHS + BHS + MESSAGE + b"BTS|3\rFTS|1\r")
    assert batch
    answer = hl7v2.build_batch_answer(batch, [[b"MSA|AA|C1\r"]], "7", "20260301")
    assert b"BTS|1|3 messages announced, 1 came\rFTS|1\r" in answer


def test_miscount_of_a_frame_is_logged_and_its_messages_are_kept() -> None:
    with capture_logs() as logs:
        content = frame_content("adt", BHS + MESSAGE + b"BTS|2\r", "10.1.2.3")
    assert len(content.messages) == 1
    assert logs == [
        {
            "event": "batch_miscounted",
            "log_level": "warning",
            "feed": "adt",
            "host": "10.1.2.3",
            "where": "BTS[1]-1",
            "declared": 2,
            "found": 1,
        }
    ]


def test_check_reports_the_count_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "batch.hl7"
    file.write_bytes(BHS + MESSAGE + b"BTS|2\r")
    result = CliRunner().invoke(cli, ["check", str(file), "--json"])
    found = [f for m in json.loads(result.stdout)["messages"] for f in m["findings"] if f["path"].startswith("BTS")]
    assert [(f["severity"], f["path"], f["text"]) for f in found] == [
        ("warn", "BTS[1]-1", "2 messages announced, 1 came")
    ]
