"""The MS-DRG on the claim of a stay, with its story: the grouper's version, severity, weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fhir_coder.claims.build import BuiltClaim
from fhir_coder.claims.elements import codeable
from fhir_coder.claims.supporting import INFO
from fhir_coder.model import CodedChart, Coding, System, Trace
from fhir_coder.terminology.codesets.inpatient import Drg

WEIGHT_TABLE = "drg-weights"
"""The concept table with the relative weights of a site's grouper versions: `44|399`, as in Table 5 of CMS."""


def with_drg(built: BuiltClaim, drg: Drg | None, coded: CodedChart, weights: Mapping[str, str]) -> BuiltClaim:
    """The claim with the group of its stay as supporting information; as it is where the stay has none that is paid."""
    if drg is None or not drg.is_grouped:
        return built
    version, number = f"{drg.version / 10:g}", f"{drg.number:03}"
    entries = built.claim.get("supportingInfo", [])
    code = {"coding": [{"system": System.MS_DRG, "version": version, "code": number}], "text": drg.title}
    entry = {"sequence": len(entries) + 1, "category": codeable(INFO, "drg"), "code": code}
    trace = Trace(
        System.MS_DRG,
        number,
        coded.diagnoses[0].trace.origin,
        Coding(coded.diagnoses[0].code.system, coded.diagnoses[0].code.code),
        path=f"Claim.supportingInfo[{len(entries)}]",
        note=_story(drg, version, weights.get(f"{version}|{number}", "")),
        display=drg.title,
    )
    # Supporting information keeps its place among the elements of the claim.
    claim = {**built.claim, "supportingInfo": [*entries, entry]}
    return replace(built, claim=claim, traces=(*built.traces, trace))


def _story(drg: Drg, version: str, weight: str) -> str:
    mdc = f", MDC {drg.mdc}" if drg.mdc is not None else ""
    weighs = f", weight {weight}" if weight else ""
    return f"MS-DRG grouper {version} by the day of discharge, severity {drg.severity.lower()}{mdc}{weighs}"
