"""The sandbox's rules: the file that sets them, and what each of them decides."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from fhir_coder.errors import SettingsError
from fhir_coder.model import Json
from fhir_coder.payers.sandbox import Client, Member, Rules, read_rules, running
from fhir_coder.payers.sandbox.rules_file import RulesFile
from tests.sandbox import SYSTEM, held, line, make_claim, money, post

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "sandbox-payer.md"

WHOLE = """\
percent = 75.5
inactive_prefix = "GONE"
covered_codes = ["G0463"]
denied_codes = ["J1885"]
authorization_codes = ["G0101"]
authorization_numbers = ["AUTH-1"]
deny_duplicates = true
pend_seconds = 2.5
pend_codes = ["G0463"]
token_seconds = 60

[[members]]
id = "SUB-1"
from = 2026-01-01
to = 2026-12-31

[[clients]]
id = "adapter"
secret_file = "secret.txt"

[fees]
G0463 = 100.10
"""


def written(folder: Path, content: str) -> Path:
    file = folder / "rules.toml"
    file.write_text(content, encoding="utf-8")
    return file


def test_every_key_of_the_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    assert read_rules(written(tmp_path, WHOLE)) == Rules(
        paid_percent=Decimal("75.5"),
        inactive_prefix="GONE",
        covered_codes=frozenset({"G0463"}),
        denied_codes=frozenset({"J1885"}),
        authorization_codes=frozenset({"G0101"}),
        authorization_numbers=frozenset({"AUTH-1"}),
        deny_duplicates=True,
        pend_seconds=2.5,
        pend_codes=frozenset({"G0463"}),
        token_seconds=60,
        members={"SUB-1": Member(date(2026, 1, 1), date(2026, 12, 31))},
        clients=(Client("adapter", "s3cret"),),
        fees={"G0463": Decimal("100.1")},
    )


def test_an_empty_file_is_the_published_rules(tmp_path: Path) -> None:
    assert read_rules(written(tmp_path, "")) == Rules()


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        ("percent = 101", 1, "percent: Input should be less"),
        ('\npercents = "x"', 2, "percents: there is no such setting (docs/reference/sandbox-payer.md"),
        ("percent = = 1", 1, ""),
        ('covered_codes = ["A"]\ndenied_codes = ["A"]', 2, "denied_codes: a code of this list"),
        ('[[members]]\nid = "A"\n[[members]]\nid = "A"', 4, "members[1].id: this id stands above"),
        ('[[members]]\nid = "A"\nfrom = 2026-02-01\nto = 2026-01-01', 1, "members[0]: to is before from"),
        ('[[clients]]\nid = "A"', 1, "clients[0]: needs one of secret_env"),
        ('[[clients]]\nid = "A"\nsecret_file = "none.txt"', 1, "clients[0]: the file cannot be read"),
        ('[[clients]]\nid = "A"\njwks_url = "ftp://x"', 3, "clients[0].jwks_url: String should match"),
        ("[fees]\nG0463 = -1", 2, "fees.G0463: Input should be greater"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_line(tmp_path: Path, content: str, line: int, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_rules(written(tmp_path, content))
    assert [(f.line, told in str(f)) for f in error.value.faults] == [(line, True)]


def test_every_key_of_the_file_is_in_the_reference() -> None:
    listed = set(re.findall(r"^\| `([a-z_]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(RulesFile.model_fields) - listed == set()


# --- decisions


def lines_of(url: str, claim: Json) -> list[tuple[str, str, str]]:
    """Per line what is allowed, what is paid, and why it is denied."""
    answer = post(url, claim, "/Claim/$submit")
    assert answer.status_code == 200, answer.text
    found = []
    for item in answer.json()["item"]:
        told = {a["category"]["coding"][0]["code"]: a for a in item["adjudication"]}
        reason = told["benefit"].get("reason", {"coding": [{"code": ""}]})["coding"][0]["code"]
        found.append(
            (f"{told['eligible']['amount']['value']:.2f}", f"{told['benefit']['amount']['value']:.2f}", reason)
        )
    return found


def decided(claim: Json, **rules: Any) -> list[tuple[str, str, str]]:
    with running(rules=Rules(**rules)) as url:
        return lines_of(url, claim)


def test_a_member_who_is_not_listed_is_denied() -> None:
    reasons = [r for _, _, r in decided(make_claim(), members={"SUB-2": Member()})]
    assert reasons == ["member-unknown"] * 2


@pytest.mark.parametrize(
    ("day", "reason"),
    [("2026-10-31", "coverage-inactive"), ("2026-11-01", ""), ("2026-11-30", ""), ("2026-12-01", "coverage-inactive")],
)
def test_a_member_is_covered_from_the_first_day_to_the_last(day: str, reason: str) -> None:
    claim = make_claim(item=[line(1, "G0463", "10") | {"servicedDate": day}], total=money("10"))
    members = {"SUB-1": Member(date(2026, 11, 1), date(2026, 11, 30))}
    assert [r for _, _, r in decided(claim, members=members)] == [reason]


def test_only_listed_codes_are_covered() -> None:
    assert [r for _, _, r in decided(make_claim(), covered_codes=frozenset({"G0463"}))] == ["", "not-covered"]


def test_the_fee_is_the_most_that_is_allowed() -> None:
    fees = {"G0463": Decimal("100.00"), "J1885": Decimal("20")}
    assert decided(make_claim(), fees=fees) == [("100.00", "80.00", ""), ("10.10", "8.08", "")]


def test_a_fee_counts_for_each_unit() -> None:
    two = line(1, "G0463", "150.00") | {"quantity": {"value": 2}, "unitPrice": money("75.00")}
    assert decided(make_claim(item=[two], total=money("150.00")), fees={"G0463": Decimal("60")}) == [
        ("120.00", "96.00", "")
    ]


@pytest.mark.parametrize(
    ("numbers", "shown", "reason"),
    [
        ((), None, "authorization-missing"),
        ((), ["ANY"], ""),
        (("AUTH-1",), ["AUTH-2"], "authorization-unknown"),
        (("AUTH-1",), ["AUTH-2", "AUTH-1"], ""),
    ],
)
def test_a_code_may_need_an_authorization(numbers: tuple[str, ...], shown: list[str] | None, reason: str) -> None:
    claim = make_claim()
    if shown:
        claim["insurance"][0]["preAuthRef"] = shown
    rules = {"authorization_codes": frozenset({"J1885"}), "authorization_numbers": frozenset(numbers)}
    assert [r for _, _, r in decided(claim, **rules)] == ["", reason]


def test_a_service_is_paid_once_where_repeats_are_denied() -> None:
    with running(rules=Rules(deny_duplicates=True)) as url:
        reasons = [[r for _, _, r in lines_of(url, make_claim(name))] for name in ("C-1", "C-2")]
        other_day = make_claim("C-3", billablePeriod={"start": "2026-10-01"})
        reasons.append([r for _, _, r in lines_of(url, other_day)])
    assert reasons == [["", ""], ["duplicate"] * 2, ["", ""]]


def test_a_replacement_is_no_repeat_of_what_it_replaces() -> None:
    prior = {
        "claim": {"identifier": {"system": SYSTEM, "value": "C-1"}},
        "relationship": {"coding": [{"code": "prior"}]},
    }
    with running(rules=Rules(deny_duplicates=True)) as url:
        post(url, make_claim("C-1"))
        assert [r for _, _, r in lines_of(url, make_claim("C-2", related=[prior]))] == ["", ""]
        assert [r for _, _, r in lines_of(url, make_claim("C-3"))] == ["duplicate"] * 2


def test_repeats_are_paid_where_nothing_is_said_of_them() -> None:
    with running() as url:
        post(url, make_claim("C-1"))
        assert [r for _, _, r in lines_of(url, make_claim("C-2"))] == ["", ""]


def test_only_claims_with_a_listed_code_wait_for_their_decision() -> None:
    other = make_claim("C-2", item=[line(1, "G0463", "5")], total=money("5"))
    with running(rules=Rules(pend_seconds=3600, pend_codes=frozenset({"J1885"}))) as url:
        outcomes = [post(url, claim, "/Claim/$submit").json()["outcome"] for claim in (make_claim("C-1"), other)]
        assert outcomes == ["queued", "complete"]
        assert [c["decision"] for c in held(url)] == ["queued", "paid"]


def test_a_file_of_another_version_is_refused_in_plain_words(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    from fhir_coder.errors import FhirCoderError

    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        old.execute("CREATE TABLE claims (number INTEGER)")
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at" * 20)
    for name, told in (("old.db", "another version"), ("text.db", "no file for"), ("no/folder.db", "no file for")):
        with pytest.raises(FhirCoderError, match=told), running(store_path=tmp_path / name):
            pass


def test_the_statement_of_abilities_names_every_search() -> None:
    with running() as url:
        told = requests.get(f"{url}/metadata", timeout=10).json()["rest"][0]["resource"]
    assert {p["name"] for p in told[0]["searchParam"]} == {"identifier", "status", "use", "created", "patient", "_id"}
