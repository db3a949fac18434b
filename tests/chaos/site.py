"""The example site with four payers, each of which takes corrections its own way, and visits split into two claims."""

from __future__ import annotations

from fhir_coder.settings import PayerSettings, Settings, SplitSettings, example_settings

_URL = "http://127.0.0.1:1/fhir"
_PAYERS = (
    PayerSettings(name="lakeshore", title="Lakeshore PPO", url=_URL),
    PayerSettings(name="statewide", title="Statewide Medicaid", url=_URL, plans=("STATEWIDE",)),
    PayerSettings(name="piermont", title="Piermont HMO", url=_URL, plans=("PIERMONT",), corrections="void-and-new"),
    PayerSettings(
        name="tidewater", title="Tidewater Mutual", url=_URL, plans=("TIDEWATER",), late_charges="late-charge"
    ),
)


def chaos_settings() -> Settings:
    """Settings whose payers' address is not theirs yet: a trial gives them its own."""
    settings = example_settings()
    site = settings.site.model_copy(update={"type_of_bill": {"IMP": "0111", "EMER": "0131", "AMB": "0131"}})
    split = (
        SplitSettings(kind="professional", charges=("LAB-*",)),
        SplitSettings(kind="institutional", charges=("NEB-*",)),
    )
    billing = settings.billing.model_copy(update={"split": split})
    return settings.model_copy(update={"site": site, "payers": _PAYERS, "billing": billing})
