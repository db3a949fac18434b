"""The rules of billing as a site writes them, and what they come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_coder.errors import SettingsError
from fhir_coder.model import BillingRule, Limits, Payer
from fhir_coder.settings import Settings, read_settings

FEED = """
[[feeds]]
name = "lab"
kind = "http"
"""


def read(folder: Path, text: str) -> Settings:
    file = folder / "s.toml"
    file.write_text(text)
    return read_settings(file)


def test_a_feed_says_only_what_differs_from_the_site(tmp_path: Path) -> None:
    text = '[billing]\nwhen = "discharge"\nhold_days = 3\n[billing.feeds.lab]\nwhen = "charge"\n' + FEED
    billing = read(tmp_path, text).billing.value()

    assert (billing.rule, billing.feeds) == (BillingRule("discharge", 3), {"lab": BillingRule("charge", 3)})


def test_a_payers_own_words_go_before_all_others() -> None:
    site = BillingRule("discharge", 3)

    assert Payer("p").rule(site) == site
    assert Payer("p", when="charge", hold_days=0).rule(site) == BillingRule("charge", 0)


PAYER = '[[payers]]\nname = "p"\nurl = "http://127.0.0.1:1/fhir"\n'


def test_a_payer_says_how_large_a_claim_it_takes_and_the_standard_the_rest(tmp_path: Path) -> None:
    text = PAYER + "consolidate_lines = true\nmax_lines = { professional = 40 }\n"
    payer = read(tmp_path, text).payers[0].value()

    assert payer.limits_of("professional") == Limits(40, 12)
    assert payer.limits_of("institutional") == Limits(999, 25)
    assert (payer.consolidate_lines, payer.use) == (True, "claim")


@pytest.mark.parametrize(
    "line",
    [
        "max_lines = { professional = 0 }",
        "max_lines = { dental = 10 }",
        "max_diagnoses = { professional = 3 }",
        'use = "complete"',
    ],
)
def test_a_limit_that_no_claim_can_keep_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, PAYER + line)

    assert line.split(maxsplit=1)[0] in str(refused.value)


def test_a_charge_pattern_fits_the_whole_code(tmp_path: Path) -> None:
    (rule,) = read(tmp_path, '[[billing.split]]\nkind = "professional"\ncharges = ["PF-*"]\n').billing.value().split

    assert [bool(p.match(code)) for p in rule.charges for code in ("PF-1", "XPF-1", "PF")] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[billing]\nwhen = "sometimes"\n', "billing.when"),
        ("[billing]\nhold_days = -1\n", "billing.hold_days"),
        ('[[billing.split]]\nkind = "professional"\n', "names neither departments nor charges"),
        ('[billing.feeds.labs]\nwhen = "charge"\n' + FEED, r":1: billing\.feeds\.labs: no feed of the settings"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_a_fault(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read(tmp_path, text)
