"""`check claim.json`, `edits list`, and the severities that a payer gives its edits."""

from __future__ import annotations

import gzip
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_coder.claim_check import claim_findings, every_edit, read_claim
from fhir_coder.claims import to_bytes
from fhir_coder.cli import cli
from fhir_coder.edits import EDITS, findings_for, judged_by
from fhir_coder.errors import SettingsError, UnreadableError
from fhir_coder.model import ClaimStatus, Finding, Json, Severity
from fhir_coder.settings import load_settings
from tests.building import PAYER, context, drafted, good_chart, rulebook
from tests.edits.structure_cases import changed, sound

BROKEN = {"drop": ["priority"], "set": {"total.value": 1}}
FAULTS = [("required-element", "Claim.priority"), ("total-is-sum", "Claim.total")]

SITE = """
[site]
name = "Clinic"

[[payers]]
name = "northwind"
url = "http://127.0.0.1:1/fhir"

[payers.edits]
total-is-sum = "warn"
required-element = "off"
"""


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def file_of(folder: Path, resource: Json, name: str = "claim.json") -> str:
    path = folder / name
    path.write_bytes(to_bytes(resource))
    return str(path)


@pytest.fixture
def site(tmp_path: Path) -> str:
    path = tmp_path / "site.toml"
    path.write_text(SITE, encoding="utf-8")
    return str(path)


# --- check


@pytest.mark.parametrize("base", ["claim", "bundle"])
def test_a_sound_claim_is_acceptable(tmp_path: Path, base: str) -> None:
    assert run("check", file_of(tmp_path, sound(base)))[:2] == (0, "nothing found\n")


def test_a_broken_claim_is_rejected_with_each_edit_place_and_what_to_do(tmp_path: Path) -> None:
    status, text, _ = run("check", file_of(tmp_path, changed(BROKEN)))

    assert status == 1
    for edit, path in FAULTS:
        assert f"{edit} " in text
        assert f" {path} " in text
    assert "Make the total the sum of the lines' net amounts." in text


def test_a_broken_claim_as_json_and_as_junit(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    status, text, _ = run("check", file_of(tmp_path, changed(BROKEN)), "--json", "--junit", str(report))
    (checked,) = json.loads(text)["messages"]

    assert status == 1
    assert [(f["edit"], f["path"]) for f in checked["findings"]] == FAULTS
    assert all(f["severity"] == "reject" and f["text"] and f["advice"] for f in checked["findings"])
    assert ET.parse(report).getroot().get("failures") == "1"


def test_a_warning_alone_is_acceptable(tmp_path: Path) -> None:
    status, text, _ = run("check", file_of(tmp_path, changed({"set": {"item[1].net.value": 4.999}, "drop": ["total"]})))

    assert (status, "amount-too-fine" in text) == (0, True)


def test_each_line_of_ndjson_is_a_claim_and_gzip_is_unpacked(tmp_path: Path) -> None:
    lines = to_bytes(sound()) + b"\n" + to_bytes(changed(BROKEN)) + b"\n"
    (tmp_path / "claims.ndjson.gz").write_bytes(gzip.compress(lines))
    status, text, _ = run("check", str(tmp_path / "claims.ndjson.gz"), "--json")

    assert (status, [len(m["findings"]) for m in json.loads(text)["messages"]]) == (1, [0, 2])


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"resourceType": "Claim",\n "status": }', "line 2, column 12"),
        (b'{"resourceType": "Claim", "status": "active", "status": "draft"}', "two members of one name"),
        (b'{"resourceType": "Patient"}', "resourceType"),
        (b'{"status": "active"}', "resource type"),
        (b'{"resourceType": "Claim", "factor": NaN}', "not JSON"),
        (b'{"resourceType": "Claim", "id": ' + b"[" * 100_000, "not JSON"),
        (b'{"resourceType": "Claim", "id": "\xff"}', "not JSON"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path, body: bytes, where: str) -> None:
    file = tmp_path / "claim.json"
    file.write_bytes(body)
    status, _, told = run("check", str(file))

    assert (status, where in told) == (2, True)
    with pytest.raises(UnreadableError):
        read_claim(body)


def test_amounts_are_read_with_their_decimals(tmp_path: Path) -> None:
    ten = {"set": {"item[0].unitPrice.value": 0.1, "item[0].net.value": 0.2, "total.value": 5.2}}

    assert claim_findings(to_bytes(changed(ten))) == ()


def test_the_model_says_what_the_edits_do_not_look_at() -> None:
    other = {"resourceType": "QuestionnaireResponse", "id": "q"}
    claim = sound()
    claim["contained"].append(other)
    claim["supportingInfo"][0] = {"sequence": 1, "category": {"text": "x"}, "valueReference": {"reference": "#q"}}

    assert [(f.edit, f.path) for f in claim_findings(to_bytes(claim))] == [("r4-model", "Claim.contained[3].status")]


def test_options_of_the_other_kind_are_refused_and_no_verdict(tmp_path: Path, site: str) -> None:
    claim, message = file_of(tmp_path, sound()), tmp_path / "m.hl7"
    message.write_bytes(b"MSH|^~\\&|A|B|C|D|20261103||ADT^A01|1|P|2.5.1\r")

    assert run("check", claim, "--version", "2.5.1")[0] == 2
    assert run("check", str(message), "-c", site, "--payer", "northwind")[0] == 2
    status, _, told = run("check", claim, "-c", site, "--payer", "nobody")
    assert (status, "there is northwind" in told) == (2, True)


# --- severities of a payer


def test_a_payer_judges_edits_as_its_settings_say(tmp_path: Path, site: str) -> None:
    status, text, _ = run("check", file_of(tmp_path, changed(BROKEN)), "-c", site, "--payer", "northwind", "--json")
    (checked,) = json.loads(text)["messages"]

    assert status == 0
    assert [(f["edit"], f["severity"]) for f in checked["findings"] if f["edit"] != "r4-model"] == [
        ("total-is-sum", "warn")
    ]


def test_unknown_edits_and_severities_in_the_settings_are_told_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(SITE + 'total-is-some = "warn"\nbad-npi = "maybe"\n', encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_settings(file)
    assert [fault.line for fault in refused.value.faults] == [13]

    file.write_text(SITE + 'total-is-some = "warn"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="no such edit") as refused:
        load_settings(file)
    assert [fault.line for fault in refused.value.faults] == [12]


def test_an_edit_that_says_when_a_claim_is_made_cannot_be_set(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(SITE + 'visit-open = "off"\n', encoding="utf-8")

    with pytest.raises(SettingsError, match="see when, hold_days"):
        load_settings(file)


def test_a_payer_s_severities_hold_for_claims_that_are_made() -> None:
    asked = replace(PAYER, prior_auth_codes=None)

    def judged(**severities: Severity | None) -> dict[str, Severity]:
        payer = replace(asked, severities={edit.replace("_", "-"): said for edit, said in severities.items()})
        return {f.edit: f.severity for f in findings_for(context(good_chart(), payer=payer))}

    plain = judged()
    assert plain["prior-auth-list-missing"] is Severity.INFO
    assert judged(prior_auth_list_missing=Severity.REJECT) == plain | {"prior-auth-list-missing": Severity.REJECT}
    assert judged(prior_auth_list_missing=None).keys() == plain.keys() - {"prior-auth-list-missing"}
    assert drafted(good_chart(), rulebook(payers=[asked])).status is ClaimStatus.READY
    strict = replace(asked, severities={"prior-auth-list-missing": Severity.REJECT})
    assert drafted(good_chart(), rulebook(payers=[strict])).status is ClaimStatus.HELD


def test_the_model_s_finding_is_judged_by_the_payer_too() -> None:
    finding = Finding("r4-model", Severity.REJECT, "Claim.type", "x")

    assert judged_by(replace(PAYER, severities={"r4-model": Severity.INFO}), [finding])[0].severity is Severity.INFO
    assert judged_by(replace(PAYER, severities={"r4-model": None}), [finding]) == ()
    assert judged_by(None, [finding]) == (finding,)


# --- edits list


def test_edits_list_shows_every_edit_with_its_place_and_what_to_do() -> None:
    status, text, _ = run("edits", "list", "--json")
    listed = json.loads(text)

    assert status == 0
    assert [row["id"] for row in listed] == [edit.id for edit in every_edit()]
    assert all(row["title"] and row["path"] and row["advice"] and row["family"] != "functools" for row in listed)
    assert {edit.id for edit in EDITS} < {row["id"] for row in listed}


def test_edits_list_filters_by_words_and_severity_and_shows_those_of_a_payer(site: str) -> None:
    assert [line.split()[0] for line in run("edits", "list", "Claim.total")[1].splitlines()[1:]][-2:] == [
        "total-is-sum",
        "one-currency",
    ]
    listed = json.loads(run("edits", "list", "total-is", "-c", site, "--payer", "northwind", "--json")[1])
    assert [(row["id"], row["severity"]) for row in listed] == [("total-is-sum", "warn")]
    off = json.loads(run("edits", "list", "required-element", "-c", site, "--payer", "northwind", "--json")[1])
    assert [row["severity"] for row in off] == ["off"]
    assert "total-is-sum" not in run("edits", "list", "--severity", "warn")[1]
