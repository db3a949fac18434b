"""Edits on the parties: payer, coverage, subscriber, billing provider, doctors and their NPIs."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.model import Json, Severity, System, day_of
from fhir_coder.terminology.check_digits import is_npi


def no_coverage(context: ClaimContext) -> Iterator[Hit]:
    """Nobody to bill."""
    if not context.coded.chart.coverages:
        yield "Claim.insurance", "no coverage came (IN1 or Coverage)"


def payer_not_known(context: ClaimContext) -> Iterator[Hit]:
    """A coverage came, but no configured payer takes it."""
    if context.coded.chart.coverages and context.payer is None:
        yield "Claim.insurer", "no configured payer takes this coverage's plan or company"


def missing_subscriber_id(context: ClaimContext) -> Iterator[Hit]:
    """The coverage that is billed has no member id."""
    if context.coverage and not context.coverage.subscriber_id:
        yield (
            context.coverage_path,
            "the coverage has no subscriber id (IN1-49, IN1-36 or Coverage.subscriberId)",
        )


def coverage_not_in_force(context: ClaimContext) -> Iterator[Hit]:
    """The date of service is outside the coverage's period."""
    on, coverage = context.coded.chart.service_date, context.coverage
    if on is None or coverage is None:
        return
    start, end = day_of(coverage.start), day_of(coverage.end)
    if (start and on < start) or (end and on > end):
        yield context.coverage_path, "the coverage is not in force on the date of service"


def missing_provider_npi(context: ClaimContext) -> Iterator[Hit]:
    """The billing provider has no NPI."""
    resource = _contained(context.claim, context.claim.get("provider", {}))
    if not npis_of(resource):
        yield "Claim.provider", "the billing provider has no NPI"


def missing_doctor_npi(context: ClaimContext) -> Iterator[Hit]:
    """Nobody on the care team has an NPI."""
    team = context.claim.get("careTeam", ())
    if not any(npis_of(_contained(context.claim, member["provider"])) for member in team):
        yield "Claim.careTeam", "no doctor with an NPI came"


def bad_npi(context: ClaimContext) -> Iterator[Hit]:
    """An NPI whose check digit is wrong (45 CFR 162.406; Luhn with the prefix 80840)."""
    for index, resource in enumerate(context.claim.get("contained", ())):
        for npi in npis_of(resource):
            if not is_npi(npi):
                yield f"Claim.contained[{index}].identifier", "the NPI is not ten digits with a right check digit"


def prior_auth_list_missing(context: ClaimContext) -> Iterator[Hit]:
    """Nobody can tell whether a line needs prior authorisation."""
    payer = context.payer
    if payer and payer.prior_auth_codes is None:
        path = f"Claim.insurance[{context.order - 1}].preAuthRef"
        yield path, f"payer '{payer.name}' has no list of codes that need authorisation"


def prior_auth_missing(context: ClaimContext) -> Iterator[Hit]:
    """A line's code is on the payer's list, and the coverage has no authorisation number (IN1-14)."""
    listed = context.payer.prior_auth_codes if context.payer else None
    coverage = context.coverage
    if not listed or coverage is None or coverage.prior_authorization:
        return
    for index, line in enumerate(context.coded.lines):
        if line.code.code in listed:
            yield f"Claim.item[{index}]", "the payer asks for prior authorisation of this code, and no number came"


def prior_auth_expired(context: ClaimContext) -> Iterator[Hit]:
    """A line's code is on the payer's list, and its day of service is outside the days that were authorised."""
    listed = context.payer.prior_auth_codes if context.payer else None
    coverage = context.coverage
    if not listed or coverage is None or not coverage.prior_authorization:
        return
    first, last = day_of(coverage.authorized_from), day_of(coverage.authorized_to)
    for index, line in enumerate(context.coded.lines):
        on = day_of(line.service_date) or context.coded.chart.service_date
        if on and line.code.code in listed and ((first and on < first) or (last and on > last)):
            yield f"Claim.item[{index}]", "the authorisation of this code does not count on the day of service"


def _contained(claim: Json, reference: Json) -> Json:
    wanted = reference.get("reference", "").removeprefix("#")
    return next((r for r in claim.get("contained", ()) if wanted and r["id"] == wanted), {})


def npis_of(resource: Json) -> list[str]:
    """The NPIs of a contained resource."""
    return [i.get("value", "") for i in resource.get("identifier", ()) if _is_typed_npi(i)]


def _is_typed_npi(identifier: Json) -> bool:
    codings = identifier.get("type", {}).get("coding", [])
    return identifier.get("system") == System.NPI or any(c.get("code") == "NPI" for c in codings)


EDITS = (
    Edit(
        "no-coverage",
        "No coverage",
        Severity.REJECT,
        "Bill the patient, or have registration add the insurance.",
        no_coverage,
        path="Claim.insurance",
    ),
    Edit(
        "payer-not-known",
        "No payer takes the plan",
        Severity.REJECT,
        "Add the plan to a payer's `plans` in the settings.",
        payer_not_known,
        path="Claim.insurer",
    ),
    Edit(
        "missing-subscriber-id",
        "No subscriber id",
        Severity.REJECT,
        "Have registration add the member id.",
        missing_subscriber_id,
        path="Claim.insurance.coverage",
    ),
    Edit(
        "coverage-not-in-force",
        "Coverage not in force",
        Severity.REJECT,
        "Check the coverage's dates with the payer.",
        coverage_not_in_force,
        path="Claim.insurance.coverage",
    ),
    Edit(
        "missing-provider-npi",
        "No billing provider NPI",
        Severity.REJECT,
        "Set `npi` in the settings' [site].",
        missing_provider_npi,
        path="Claim.provider",
    ),
    Edit(
        "missing-doctor-npi",
        "No doctor's NPI",
        Severity.WARN,
        "Have the sender add the NPI to FT1-20 or PV1-7.",
        missing_doctor_npi,
        path="Claim.careTeam",
    ),
    Edit(
        "bad-npi",
        "NPI check digit wrong",
        Severity.REJECT,
        "Correct the NPI at its source.",
        bad_npi,
        path="Claim.contained.identifier",
    ),
    Edit(
        "prior-auth-missing",
        "No prior authorisation",
        Severity.REJECT,
        "Get the authorisation and have IN1-14 filled.",
        prior_auth_missing,
        path="Claim.item",
    ),
    Edit(
        "prior-auth-expired",
        "Prior authorisation not in force",
        Severity.REJECT,
        "Have the authorisation prolonged and IN3-9 and IN3-10 corrected, or bill the day that is authorised.",
        prior_auth_expired,
        path="Claim.item",
    ),
    Edit(
        "prior-auth-list-missing",
        "No prior authorisation list",
        Severity.INFO,
        "Set `prior_auth_codes` of the payer.",
        prior_auth_list_missing,
        path="Claim.insurance.preAuthRef",
    ),
)
"""In the order shown to the coder."""
