"""Every payer profile, by the name the settings use."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhir_coder.model import Payer
from fhir_coder.payers.base import BaseProfile
from fhir_coder.payers.davinci_pas import DaVinciPas
from fhir_coder.payers.profile import PayerProfile


def _per_request(payer: Payer) -> int:
    return payer.batch_size if payer.envelope == "batch" else 1


def _davinci_pas(payer: Payer) -> PayerProfile:
    assert payer.pas is not None  # the settings refuse a payer of this profile without
    return DaVinciPas(payer.pas)


PROFILES: Mapping[str, Callable[[Payer], PayerProfile]] = {
    "base": lambda payer: BaseProfile(submit=payer.submit, envelope=payer.envelope, per_request=_per_request(payer)),
    "davinci-pas": _davinci_pas,
}
"""Name -> how the profile is made for a payer of the settings."""


def profile_of(payer: Payer) -> PayerProfile:
    """The profile of a payer."""
    return PROFILES[payer.profile](payer)
