"""Settings of payer profiles: what does not fit together is a fault that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fhir_coder.errors import SettingsError
from fhir_coder.model import PasRules
from fhir_coder.payers import BaseProfile, DaVinciPas, profile_of
from fhir_coder.settings import PayerSettings, read_settings

PAS = {"contact_phone": "555-0100"}
REVIEW = {"profile": "davinci-pas", "use": "preauthorization", "pas": PAS}


def payer(**said: Any) -> PayerSettings:
    return PayerSettings(name="plan", url="https://payer.example/fhir", **said)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"profile": "davinci-pas", "use": "preauthorization"}, "needs a table [payers.pas]"),
        ({"profile": "davinci-pas", "pas": PAS}, 'set use = "preauthorization"'),
        (REVIEW | {"unknown": "repeat"}, 'unknown = "repeat" cannot be set'),
        (REVIEW | {"envelope": "collection"}, "leave `envelope` out"),
        ({"pas": PAS}, 'read only with profile = "davinci-pas"'),
        ({"envelope": "transaction", "submit": "operation"}, "cannot be sent by $submit"),
        (REVIEW | {"pas": {}}, "contact_phone"),
        (REVIEW | {"pas": {"contact_phone": ""}}, "contact_phone"),
        (REVIEW | {"pas": PAS | {"service_types": {"J*": "medical"}}}, "service_types"),
        (REVIEW | {"pas": PAS | {"identifier_system": "clinic"}}, "identifier_system"),
        ({"profile": "nphies"}, "profile"),
        ({"envelope": "message"}, "envelope"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(said: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=r".*") as refused:
        payer(**said)
    assert fault in str(refused.value)


def test_a_fault_of_a_profile_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        '[[payers]]\nname = "plan"\nurl = "https://payer.example"\nprofile = "davinci-pas"\nuse = "preauthorization"\n'
        '\n[payers.pas]\ncontact_phone = "1"\nservice_type = "medical"\n',
        encoding="utf-8",
    )
    with pytest.raises(SettingsError) as refused:
        read_settings(file)
    assert f"{file}:9: payers[0].pas.service_type" in str(refused.value)


def test_the_settings_make_the_profile() -> None:
    assert profile_of(payer().value()) == BaseProfile()
    assert profile_of(payer(envelope="collection").value()) == BaseProfile(envelope="collection")
    reviewing = payer(profile="davinci-pas", use="preauthorization", pas=PAS | {"service_types": {"J*": "2"}})
    assert profile_of(reviewing.value()) == DaVinciPas(PasRules("555-0100", service_types={"J*": "2"}))
