"""`convert --json` keeps its public contract: docs/reference/convert.schema.json, FHIR R4 Claims, exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.claim import Claim
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from fhir_coder.app import App
from fhir_coder.cli import cli
from fhir_coder.conversion import Source
from fhir_coder.shipped import shipped

ROOT = Path(__file__).parents[2]
FIXTURES = shipped("fixtures")
SCENARIOS = sorted(head.parent for head in FIXTURES.rglob("scenario.toml"))

Json = dict[str, Any]
Write = Callable[..., Path]

MSH = "MSH|^~\\&|EHR|NORTH|BILL|NORTH|20261103120000||{type}|{control}|P|2.5.1"
PID = "PID|1||P1^^^NORTH^MR||TESTPATIENT^ANN||19800101|F"
PV1 = "PV1|1|O|||||2000000010^HARBOR^IRIS^^^^^^^^^^NPI||||||||||||V1^^^NORTH^VN" + "|" * 25 + "20261103090000"
FT1 = "FT1|1|T1||20261103||CG|{code}|||1||50.00|||||||{diagnosis}"
DG1 = "DG1|1||{diagnosis}||20261103|F|||||||||1"
IN1 = "IN1|1|PLAN1|C1|Lakeshore PPO" + "|" * 32 + "M1"


@cache
def schema() -> Draft202012Validator:
    text = (ROOT / "docs" / "reference" / "convert.schema.json").read_text(encoding="utf-8")
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


@pytest.fixture(autouse=True)
def _no_settings_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, *segments: str) -> Path:
        file = tmp_path / name
        file.write_bytes(b"".join(segment.encode() + b"\r" for segment in segments))
        return file

    return written


def charge_message(control: str = "1", code: str = "J1885^^HPC", diagnosis: str = "I10^^I10C") -> list[str]:
    header = MSH.format(type="DFT^P03^DFT_P03", control=control)
    return [header, PID, PV1, FT1.format(code=code, diagnosis=diagnosis), DG1.format(diagnosis=diagnosis), IN1]


def adt(event: str, control: str) -> list[str]:
    return [MSH.format(type=f"ADT^{event}", control=control), PID, PV1, IN1]


def convert(*files: Path | str, stdin: bytes | None = None) -> tuple[int, Json, list[str]]:
    """Exit status, the checked JSON, and the lines of standard error."""
    result = CliRunner().invoke(cli, ["convert", "--json", *map(str, files)], input=stdin)
    came: Json = json.loads(result.stdout, parse_float=Decimal)
    assert_contract(json.loads(result.stdout))
    return result.exit_code, came, result.stderr.splitlines()


def assert_contract(came: Json) -> None:
    faults = [f"{fault.json_path}: {fault.message}" for fault in schema().iter_errors(came)]
    assert faults == []
    ids = {message["id"] for message in came["messages"]}
    for claim in came["claims"]:
        Claim.model_validate(claim["claim"])
        assert claim["claim"]["identifier"][0]["value"] == claim["identifier"]
        for trace in claim["traces"]:
            assert trace["origin"]["message"] in ids
            assert trace["code"] in codes_at(claim["claim"], trace["path"])
    keys = {claim["chart_key"] for claim in came["claims"]}
    assert {gap["chart_key"] for gap in came["gaps"]} <= keys
    assert keys.isdisjoint([*came["cancelled"], *(move["chart_key"] for move in came["moved"])])


def codes_at(claim: Json, path: str) -> list[str]:
    element, _, index = path.removeprefix("Claim.").rstrip("]").partition("[")
    entry = claim[element][int(index)] if index else claim[element]
    names = ("diagnosisCodeableConcept", "procedureCodeableConcept", "productOrService", "code")
    names = ("type",) if element == "accident" else names
    return [coding["code"] for name in names if name in entry for coding in entry[name]["coding"]]


@pytest.mark.parametrize("folder", [pytest.param(f, id=f.name) for f in SCENARIOS])
def test_every_scenario_keeps_the_contract(folder: Path) -> None:
    files = sorted(
        f for f in folder.iterdir() if f.suffix in (".hl7", ".json", ".ndjson") and f.name != "expected.json"
    )
    status, came, said = convert(*files)
    unreadable = [m for m in came["messages"] if m["status"] == "quarantined"]
    assert (status, len(said)) == (2 if unreadable else 0, len(unreadable))


def test_a_claim_has_a_trace_for_every_code(write: Write) -> None:
    status, came, said = convert(write("m.hl7", *charge_message(diagnosis="38341003^^SCT")))
    [claim] = came["claims"]
    assert (status, said) == (0, [])
    assert [t["path"] for t in claim["traces"]] == ["Claim.diagnosis[0]", "Claim.item[0]"]
    by_table, came_coded = claim["traces"]
    assert (by_table["code"], by_table["table"], by_table["source"]["code"]) == ("I10", "snomed-to-icd10cm", "38341003")
    assert by_table["version"].startswith("snomed-to-icd10cm@")
    assert (came_coded["table"], came_coded["row"], came_coded["version"]) == (None, None, None)
    assert came_coded["note"] == "came coded"


def test_money_keeps_its_decimals(write: Write) -> None:
    file = write("m.hl7", *charge_message())
    result = CliRunner().invoke(cli, ["convert", "--json", str(file)])
    assert '"value": 50.00' in result.stdout


def test_a_code_that_no_table_knows_is_a_gap_and_no_error(write: Write) -> None:
    status, came, said = convert(write("m.hl7", *charge_message(diagnosis="NOBODY-KNOWS^^L")))
    assert (status, said) == (0, [])
    assert [(c["status"], len(c["claim"].get("diagnosis", []))) for c in came["claims"]] == [("held", 0)]
    assert [(g["code"], g["reason"]) for g in came["gaps"]] == [("NOBODY-KNOWS", "no_table")]


def test_an_unreadable_payload_is_one_line_and_the_rest_is_converted(write: Write) -> None:
    file = write("night.hl7", *charge_message(), "MSH|^~", "PID|1||SECRET^^^NORTH")
    status, came, said = convert(file)
    assert status == 2
    assert [m["status"] for m in came["messages"]] == ["charted", "quarantined"]
    assert [c["status"] for c in came["claims"]] == ["ready"]
    assert said == [f"{file}:2: unreadable: MSH-2: fewer than 4 encoding characters"]


@pytest.mark.parametrize("body", [b"", b"hello", b"{", b'{"resourceType": 5}', b"\x00\xff\xfe", b"MSH", b"[]"])
def test_what_cannot_be_read_is_quarantined_with_its_reason(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "odd"
    file.write_bytes(body)
    status, came, said = convert(file)
    assert status == 2
    assert [m["status"] for m in came["messages"]] == ["quarantined"]
    assert len(said) == 1
    assert came["claims"] == []


def test_a_file_that_is_not_there_is_one_line_and_the_rest_is_converted(write: Write) -> None:
    status, came, said = convert("nosuch.hl7", write("m.hl7", *charge_message()))
    assert (status, said) == (2, ["nosuch.hl7: No such file or directory"])
    assert len(came["claims"]) == 1


def test_a_type_that_bills_nothing_is_ignored(write: Write) -> None:
    status, came, said = convert(write("lab.hl7", MSH.format(type="ORU^R01^ORU_R01", control="1"), PID))
    assert (status, said) == (0, [])
    assert [(m["type"], m["status"], m["chart_key"]) for m in came["messages"]] == [("ORU^R01", "ignored", None)]


def test_a_cancelled_visit_makes_no_claim(write: Write) -> None:
    status, came, _ = convert(write("a.hl7", *adt("A04", "1")), write("b.hl7", *adt("A11", "2")))
    assert status == 0
    assert (came["claims"], came["cancelled"]) == ([], ["NORTH/VN/V1"])
    assert [m["chart_keys"] for m in came["messages"]] == [["NORTH/VN/V1"], ["NORTH/VN/V1"]]


def test_the_former_number_of_a_visit_that_moved_is_neither_claim_nor_error(write: Write) -> None:
    event = MSH.format(type="ADT^A50", control="2")
    former = "MRG|P1^^^NORTH^MR||||V1^^^NORTH^VN"
    moved = write("b.hl7", event, PID, former, PV1.replace("V1^", "V2^"))
    status, came, said = convert(write("a.hl7", *charge_message()), moved)
    assert (status, said) == (0, [])
    assert came["moved"] == [{"chart_key": "NORTH/VN/V1", "moved_to": "NORTH/VN/V2"}]
    assert [c["chart_key"] for c in came["claims"]] == ["NORTH/VN/V2"]
    assert came["cancelled"] == []


def test_two_files_of_one_visit_make_one_claim(write: Write) -> None:
    registration, charges = write("a.hl7", *adt("A04", "1")), write("b.hl7", *charge_message("2"))
    _, came, _ = convert(charges, registration)
    [claim] = came["claims"]
    assert claim["chart_key"] == "NORTH/VN/V1"
    assert [m["id"] for m in came["messages"]] == [f"{charges}:1", f"{registration}:1"]


def test_fhir_resources_of_one_visit_in_two_files_make_one_claim(tmp_path: Path) -> None:
    folder = FIXTURES / "ndjson-clinic"
    [day] = folder.glob("*.ndjson")
    lines = day.read_bytes().splitlines(keepends=True)
    (tmp_path / "one.ndjson").write_bytes(b"".join(lines[:5]))
    (tmp_path / "two.ndjson").write_bytes(b"".join(lines[5:]))
    _, whole, _ = convert(day)
    _, parts, _ = convert(tmp_path / "two.ndjson", tmp_path / "one.ndjson")
    assert len(parts["claims"]) == 1
    assert parts["claims"][0]["identifier"] == whole["claims"][0]["identifier"]
    assert parts["claims"][0]["claim"]["total"] == whole["claims"][0]["claim"]["total"]


def test_standard_input_is_a_dash() -> None:
    body = "\r".join(charge_message()).encode()
    status, came, _ = convert("-", stdin=body)
    assert status == 0
    assert [m["id"] for m in came["messages"]] == ["-:1"]
    assert len(came["claims"]) == 1


def test_standard_input_of_a_real_process(tmp_path: Path) -> None:
    body = b"\n".join(s.encode() for s in charge_message())
    command = [sys.executable, "-m", "fhir_coder", "convert", "--json", "-"]
    ended = subprocess.run(command, input=body, capture_output=True, cwd=tmp_path, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert_contract(json.loads(ended.stdout))


def test_the_same_input_gives_the_same_output(write: Write) -> None:
    file = write("m.hl7", *charge_message())
    assert convert(file) == convert(file)


def test_the_python_api_gives_the_same_as_the_command(write: Write) -> None:
    file = write("m.hl7", *charge_message())
    _, came, _ = convert(file)
    with App() as app:
        conversion = app.convert([Source(str(file), file.read_bytes())])
    assert [c.identifier for c in conversion.claims] == [c["identifier"] for c in came["claims"]]
    assert conversion.to_json()["messages"] == came["messages"]


def test_readable_output_has_the_same_exit_status(write: Write) -> None:
    good, bad = write("m.hl7", *charge_message()), write("bad.hl7", "MSH|^~")
    statuses = [
        CliRunner().invoke(cli, ["convert", *names]).exit_code for names in ([str(good)], [str(good), str(bad)])
    ]
    assert statuses == [0, 2]
