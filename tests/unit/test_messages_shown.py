"""A message parsed for a person: every value under the standard's name for it, and no control character as itself."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2 import read_message
from fhir_coder.hl7v2.fieldnames import message_parts, standard_version
from fhir_coder.screens_messages import message_text, parsed_text
from fhir_coder.shipped import shipped

HEAD = "MSH|^~\\&|APP|CLINIC|||20261103||ADT^A04|C1|P|{version}\r"


def parts(segments: str, version: str = "2.5.1") -> dict[str, tuple[str, str]]:
    """Path to name and value of everything after MSH."""
    message = read_message(HEAD.format(version=version) + segments)
    return {p.path: (p.name, p.value) for segment, found in message_parts(message) for p in found}


def story(body: bytes, kind: str = "hl7v2", **other: Any) -> Any:
    row = SimpleNamespace(
        id="01M", feed="adt", format=kind, type="T", control_id="C1", status="charted", reason="", body=body
    )
    found = {"row": row, "topics": [], "events": [], "corrected": None, "correction": None}
    return SimpleNamespace(**(found | other))


def test_fields_components_and_subcomponents_have_the_names_of_the_standard() -> None:
    found = parts("PID|1||4711^^^CLINIC&1.2.3&ISO^MR||DOE^JANE\r")

    assert found["PID-1"] == ("Set ID", "1")
    assert found["PID-3"] == ("Patient identifier list", "")
    assert found["PID-3.1"] == ("ID number", "4711")
    assert found["PID-3.4.2"] == ("Universal ID", "1.2.3")
    assert found["PID-3.5"] == ("Identifier type code", "MR")
    assert found["PID-5.2"] == ("Given name", "JANE")
    assert not [path for path in found if path.startswith("PID-2")]


def test_repetitions_are_numbered_and_those_of_a_segment_too() -> None:
    found = parts("PID|||1~2\rDG1|1||A01\rDG1|2||B02\r")

    assert (found["PID-3[1]"][1], found["PID-3[2]"][1]) == ("1", "2")
    assert (found["DG1[1]-3"][1], found["DG1[2]-3"][1]) == ("A01", "B02")


def test_the_header_shows_its_delimiters() -> None:
    found = parts("")

    assert found["MSH-1"] == ("Field separator", "|")
    assert found["MSH-2"] == ("Encoding characters", "^~\\&")
    assert found["MSH-9.2"][1] == "A04"


def test_what_the_standard_does_not_know_is_shown_without_a_name() -> None:
    found = parts("ZVN|a^b\rPID" + "|" * 61 + "x\rPV1|1^2^3^4&5\rOBX|1|ST|||text^more\r")

    assert found["ZVN[1]-1.2"] == ("", "b")
    assert found["PID-61"] == ("", "x")
    assert found["PV1-1.4.2"] == ("", "5")
    assert found["OBX[1]-5.2"] == ("", "more")


def test_escapes_are_resolved_and_the_mark_to_delete_is_shown() -> None:
    found = parts('PID|||""||A\\T\\B\r')

    assert found["PID-3"][1] == '""'
    assert found["PID-5"][1] == "A&B"


@pytest.mark.parametrize("version", ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "", "9"])
def test_every_version_and_no_version_has_names(version: str) -> None:
    assert "atient" in parts("PID|||4711\r", version)["PID-3"][0]
    assert standard_version(version)


@pytest.mark.parametrize("file", sorted(shipped("fixtures").glob("*/*.hl7")), ids=lambda f: f"{f.parent.name}-{f.name}")
def test_every_field_of_the_fixtures_that_the_standard_knows_has_a_name(file: Any) -> None:
    first = file.read_bytes().split(b"MSH|")[1]
    for segment, found in message_parts(read_message(b"MSH|" + first, policy="replace")):
        assert [p.path for p in found if not p.name and p.depth == 0 and not segment.name.startswith("Z")] == []


def test_a_resource_is_shown_as_a_tree() -> None:
    body = (
        b'{"resourceType":"Patient","name":[{"family":"Doe","given":["A","B"]}],"active":true,"n":336.5,"one":1,"e":{}}'
    )
    lines = parsed_text(story(body, "fhir")).splitlines()

    assert [line for line in lines if line][1:] == [
        "  Patient",
        "    resourceType  Patient",
        "    name[0]",
        "      family  Doe",
        "      given[0]  A",
        "      given[1]  B",
        "    active  true",
        "    n  336.5",
        "    one  1",
        "    e  {}",
    ]


def test_a_resource_as_deep_as_json_may_be_is_shown() -> None:
    body = b'{"resourceType":"Patient","a":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}"

    assert parsed_text(story(body, "fhir")).endswith("a  1")


def test_no_control_character_of_a_parsed_message_reaches_the_terminal() -> None:
    v2 = HEAD.format(version="2.5.1").encode() + b"PID|||\x1b[31m^\x07|\\X1B\\\rZ\x1bZ|1\r"
    resource = b'{"resourceType":"Patient","\\u001b[2J":"a\\u0007\\nb"}'

    for text in (parsed_text(story(v2)), parsed_text(story(resource, "fhir"))):
        assert not any(ord(sign) < 0x20 and sign != "\n" for sign in text)
    assert "a␇␊b" in parsed_text(story(resource, "fhir"))


def test_what_a_terminal_would_not_show_is_written_out() -> None:
    body = b"\xef\xbb\xbf" + (HEAD.format(version="2.5.1") + "PID|||\u202eX\u200bY\r").encode()

    assert "\\ufeffMSH|" in message_text(story(body))
    assert "\\u202eX\\u200bY" in message_text(story(body))
    assert "\\u202eX\\u200bY" in parsed_text(story(body))


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_a_payload_in_utf_16_is_shown_as_text(codec: str) -> None:
    shown = message_text(story(("\ufeff" + "MSH|^~\\&|É\rPID|1\r").encode(codec)))

    assert [line.strip() for line in shown.splitlines()[-2:]] == ["MSH|^~\\&|É␍", "PID|1␍"]


def test_what_looks_like_an_amount_stands_where_all_values_stand() -> None:
    text = parsed_text(story(HEAD.format(version="2.5.1").encode()))
    columns = [line.index(said) for line in text.splitlines() for said in ("CLINIC", "2.5.1") if line.endswith(said)]

    assert len(columns) == 2
    assert len(set(columns)) == 1


def test_only_the_segments_own_name_is_left_out_of_a_fields_name() -> None:
    head = HEAD.format(version="2.5.1").removesuffix("\r") + "||||||8859/1\rPID|1|||||||F\r"
    found = {p.path: p.name for _, shown in message_parts(read_message(head)) for p in shown}

    assert (found["PID-1"], found["PID-8"], found["MSH-18"]) == ("Set ID", "Administrative sex", "Character set")


def test_a_message_that_cannot_be_read_is_no_traceback() -> None:
    with pytest.raises(UnreadableError):
        parsed_text(story(b"not a message", "unknown"))


def test_both_versions_of_a_correction_are_shown_whichever_is_asked_for() -> None:
    other = SimpleNamespace(id="01N", status="superseded", body=b"MSH|old\r")

    newer = message_text(story(b"MSH|new\r", corrected=other))
    older = message_text(story(b"MSH|old\r", correction=other))

    for said in ("corrects message 01N (superseded)", "as edited", "MSH|new␍", "MSH|old␍"):
        assert said in newer
    assert "corrected by message 01N (superseded)" in older
    assert "as received" in older


def test_the_names_of_the_standard_are_loaded_only_when_asked_for() -> None:
    code = "import sys, fhir_coder.screens_messages, fhir_coder.cli; print('hl7apy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "False"
