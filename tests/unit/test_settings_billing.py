"""The rules of billing as a site writes them, and what they come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_coder.errors import SettingsError
from fhir_coder.model import BillingRule, Payer
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


def test_a_charge_pattern_fits_the_whole_code(tmp_path: Path) -> None:
    (rule,) = read(tmp_path, '[[billing.split]]\nkind = "professional"\ncharges = ["PF-*"]\n').billing.value().split

    assert [bool(p.match(code)) for p in rule.charges for code in ("PF-1", "XPF-1", "PF")] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[billing]\nwhen = "sometimes"\n', "billing.when"),
        ("[billing]\nhold_days = -1\n", "billing.hold_days"),
        ('[[billing.split]]\nkind = "professional"\n', "names neither departments nor charges"),
        ('[billing.feeds.labs]\nwhen = "charge"\n' + FEED, "billing.feeds names no feed of the settings: labs"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_a_fault(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read(tmp_path, text)
