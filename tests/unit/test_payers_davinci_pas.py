"""Da Vinci PAS: what is sent is judged by the guide's own package, and its examples are read and made again."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from fhir_coder.claims import to_bytes, void_claim
from fhir_coder.claims.changes import with_changes
from fhir_coder.model import (
    Accident,
    CareTeamMember,
    Chart,
    ClaimStatus,
    DocumentRequest,
    Identifier,
    Json,
    Name,
    OutcomeKind,
    PasRules,
    Payer,
    System,
    When,
)
from fhir_coder.payers import DaVinciPas
from fhir_coder.payers.adjudication import read_claim_response
from fhir_coder.payers.answer import HttpAnswer, read_json
from fhir_coder.payers.davinci_pas.subscription import subscription
from fhir_coder.payers.notices import notice_of
from tests import pas
from tests.building import (
    DAY,
    GOOD_NPI,
    OTHER_NPI,
    SITE,
    built,
    charge,
    coded,
    coverage,
    diagnosis,
    doctor,
    good_chart,
    icd,
    member,
    origin,
    procedure,
    stay,
    visit,
)

needs_package = pytest.mark.skipif(
    not pas.PACKAGE.is_file(), reason="the Da Vinci PAS package is not in ../shared/data"
)

RULES = PasRules(
    "555-0100",
    contact_name="Authorisations",
    service_type="1",
    service_types={"J*": "2"},
    level_of_service="U",
    sender="CLINIC",
    receiver="PAYER",
)
PROFILE = DaVinciPas(RULES)
PAYER = Payer("plan", "Plan", "http://127.0.0.1:1", use="preauthorization", identifier="PLAN", pas=RULES)
OFFICE = replace(SITE, place_of_service={"AMB": "11"}, taxonomy="")
NAME = Identifier("CLM-1", SITE.claim_identifier_system)


def request(chart: Chart, **changed: Any) -> Json:
    """The Bundle sent for a chart; `changed` are members of its claim."""
    claim = built(chart, site=OFFICE, payer=PAYER).claim | changed
    return json.loads(PROFILE.submit_request(to_bytes(claim), NAME).body, parse_float=Decimal)  # type: ignore[no-any-return]  # JSON


def stay_chart() -> Chart:
    return good_chart(
        stay(
            care_team=(member("attending"), CareTeamMember("referring", doctor(OTHER_NPI, "Brooks", "207R00000X"))),
            admission_type="2",
            admit_source="5",
            discharge_disposition="30",
        ),
        diagnosis(),
        diagnosis(icd("R07.9"), identity="d2", kind="admitting"),
        procedure(
            coded(System.ICD10PCS, "0DTJ4ZZ"),
            care_team=(CareTeamMember("surgeon", doctor(GOOD_NPI, "Rivers", "208600000X")),),
        ),
    )


def dependent_chart() -> Chart:
    accident = Accident(origin("ACC[1]"), date=When("2026-11-01"), kind="MVA", state="IL")
    return good_chart(
        visit(care_team=(member("attending"),), accident=accident),
        coverage(relationship="child", subscriber=Name("Testcase", ("Pat",)), group="G1"),
        charge(care_team=(member("rendering"),), revenue_code=""),
    )


CHARTS = {"office": good_chart, "stay": stay_chart, "dependent": dependent_chart}


def claim_of(bundle: Json) -> Json:
    first: Json = bundle["entry"][0]["resource"]
    return first


def codes_of(item: Json, extension: str) -> list[str]:
    told = [e for e in item["extension"] if e["url"].endswith(f"extension-{extension}")]
    return [e.get("valueCode") or e["valueCodeableConcept"]["coding"][0]["code"] for e in told]


# --- what is sent


@needs_package
@pytest.mark.parametrize("kind", CHARTS)
def test_a_request_follows_the_guides_profiles(kind: str) -> None:
    assert pas.faults_of(request(CHARTS[kind]()), "pas-request-bundle") == []


@needs_package
@pytest.mark.parametrize("kind", CHARTS)
def test_an_inquiry_follows_the_guides_profiles(kind: str) -> None:
    claim = built(CHARTS[kind](), site=OFFICE, payer=PAYER).claim
    asked = PROFILE.find_request(NAME, to_bytes(claim))
    assert asked.path == "Claim/$inquire"
    assert PROFILE.poll_request("Claim/7", NAME, to_bytes(claim)) == asked
    assert pas.faults_of(json.loads(asked.body), "pas-inquiry-request-bundle") == []


BROKEN = {
    "no place": ("item[0].location", lambda c: c["item"][0].pop("locationCodeableConcept")),
    "no kind of service": ("item[0].category", lambda c: c["item"][0].pop("category")),
    "one extension": ("item[0].extension", lambda c: c["item"][0]["extension"].pop()),
    "two priors": ("related", lambda c: c.update(related=[{}])),
    "a month": ("servicedDate", lambda c: c["item"][0].update(servicedDate="2026-11")),
    "a claim": ("use", lambda c: c.update(use="claim")),
    "cancelled": ("status", lambda c: c.update(status="cancelled")),
    "other type": ("type", lambda c: c["type"]["coding"][0].update(code="pharmacy")),
    "foreign diagnosis": (
        "diagnosis[x]",
        lambda c: c["diagnosis"][0]["diagnosisCodeableConcept"].update(coding=[{"system": System.SNOMED, "code": "1"}]),
    ),
    "no scope": ("careTeam", lambda c: c["careTeam"][0].pop("extension")),
    "nobody there": ("insurer", lambda c: c["insurer"].update(reference="urn:uuid:none")),
    "wrong party": ("provider", lambda c: c["provider"].update(c["patient"])),
    "two coverages": ("focal", lambda c: c["insurance"].append({"sequence": 2, "focal": False})),
}


@needs_package
@pytest.mark.parametrize("fault", BROKEN)
def test_the_judge_sees_each_fault_made_on_purpose(fault: str) -> None:
    bundle = request(dependent_chart())
    place, spoil = BROKEN[fault]
    spoil(claim_of(bundle))
    assert any(place in told for told in pas.faults_of(bundle, "pas-request-bundle"))


NOT_IN_A_CHART = {
    "extension:homeHealthCareInformation": "no message of ours tells of home health plans",
    "extension:conditionCode": "no message of ours has X12 conditions (CRC)",
    "extension:authorizationNumber": "the authorisation that is asked for",
    "extension:administrationReferenceNumber": "the payer's number of a pended request; its answer carries it",
    "supportingInfo:AdditionalInformation": "documents are not in the chart",
    "supportingInfo:AdditionalInformation.extension:documentInformation": "as above",
    "supportingInfo:AdditionalInformation.value[x]": "as above",
    "supportingInfo:MessageText": "a person's words; they go by no message",
    "supportingInfo:MessageText.value[x]": "as above",
    "diagnosis.extension:recordedDate": "the date of the code is on the chart, that of its recording is not always",
    "item.extension:authorizationNumber": "as for the whole",
    "item.extension:administrationReferenceNumber": "as for the whole",
    "item.extension:productOrServiceCodeEnd": "ranges of codes are not billed",
    "item.extension:epsdtIndicator": "no message of ours has it",
    "item.extension:nursingHomeResidentialStatus": "no message of ours has it",
    "item.extension:nursingHomeResidentialStatus.value[x]": "as above",
    "item.extension:nursingHomeLevelOfCare": "no message of ours has it",
    "item.extension:revenueUnitRateLimit": "no message of ours has it",
    "item.extension:requestedService": "orders are not in the chart",
    "item.informationSequence": "supporting information is about the whole request",
    "supportingInfo:AdmissionDates.timing[x]:timingPeriod": "the day of admission is known, no range",
    "supportingInfo:AdmissionDates.timing[x]:timingPeriod.start": "as above",
    "supportingInfo:AdmissionDates.timing[x]:timingPeriod.end": "as above",
    "item.serviced[x]:servicedPeriod": "a line is of one day",
    "identifier.extension:jurisdiction": "the site numbers its claims, no state does",
    "identifier.extension:subDepartment": "as above",
}
"""Must-support elements of the request that a chart cannot give, and why."""


def supported(url: str) -> set[str]:
    """The must-support elements of a profile."""
    definition = pas.known(f"{pas.PAS}profile-{url}")
    assert definition is not None
    told = definition["snapshot"]["element"]
    return {e["id"].partition(".")[2] for e in told if e.get("mustSupport") and "." in e["id"]}


def given(resource: Any, node: pas.Node, path: str = "") -> set[str]:
    """The elements and slices of a profile that a resource has."""
    found = {path} if path else set()
    if not isinstance(resource, dict):
        return found
    for name, part in node.parts.items():
        for key, value in pas.values_of(resource, name):
            here = f"{path}.{name}".strip(".")
            found |= given(value, part, here)
            for piece, slice_node in part.slices.items():
                if pas.Judge().is_of(key, value, part, slice_node):
                    found |= given(value, slice_node, f"{here}:{piece}")
    return found


@needs_package
def test_every_must_support_element_that_a_chart_can_give_is_given() -> None:
    tree = pas.tree(f"{pas.PAS}profile-claim")
    several = good_chart(
        visit(start=When("2026-11-03"), end=When("2026-11-05"), care_team=(member("attending"),)),
        charge(modifiers=(coded(System.HCPCS, "LT").codings[0],)),
    )
    charts = [stay_chart(), dependent_chart(), several, good_chart(stay(), charge(revenue_code="0450"))]
    had = set().union(*(given(claim_of(request(chart)), tree) for chart in charts))

    missing = supported("claim") - had
    assert {m for m in missing if not any(f"{m}.".startswith(f"{known}.") for known in NOT_IN_A_CHART)} == set()
    assert missing >= NOT_IN_A_CHART.keys()


def test_every_reference_names_one_entry_and_every_entry_is_named() -> None:
    for make in CHARTS.values():
        bundle = request(make())
        text = json.dumps(bundle, default=str)
        names = [entry["fullUrl"] for entry in bundle["entry"]]
        assert len(set(names)) == len(names)
        assert "#" not in {reference["reference"][:1] for reference in _references(bundle)}
        assert {r["reference"] for r in _references(bundle)} == set(names[1:])
        assert text.count('"resourceType": "Claim"') == 1


def _references(element: Any) -> list[Json]:
    if isinstance(element, list):
        return [r for one in element for r in _references(one)]
    if not isinstance(element, dict):
        return []
    own = [element] if isinstance(element.get("reference"), str) else []
    return own + [r for value in element.values() for r in _references(value)]


def test_a_repeat_is_the_same_bytes() -> None:
    claim = to_bytes(built(stay_chart(), site=OFFICE, payer=PAYER).claim)
    assert PROFILE.submit_request(claim, NAME) == PROFILE.submit_request(claim, NAME)


def test_a_kind_of_service_is_that_of_the_first_pattern_that_fits() -> None:
    rules = PasRules("1", service_type="1", service_types={"J18*": "88", "J*": "2"})
    assert [rules.kind_of_service([code]) for code in ("J1885", "J3301", "G0463")] == ["88", "2", "1"]
    assert PasRules("1").kind_of_service(["G0463"]) == ""


def test_a_doctor_without_a_number_is_left_out_and_nothing_points_to_them() -> None:
    unknown = CareTeamMember("rendering", doctor("", "Brooks"))
    claim = claim_of(request(good_chart(visit(), charge(care_team=(unknown, member("ordering"))))))
    assert [m["role"]["coding"][0]["code"] for m in claim["careTeam"]] == ["DK"]
    assert claim["item"][0]["careTeamSequence"] == [claim["careTeam"][0]["sequence"]]


# --- updates and cancelling


def two_lines(*codes: str) -> Json:
    charges = [charge(coded(System.HCPCS, c), identity=f"c{c}") for c in codes]
    return built(good_chart(*charges), site=OFFICE, payer=PAYER).claim


@needs_package
def test_an_update_keeps_numbers_and_says_what_was_changed_added_and_taken_back() -> None:
    prior = two_lines("G0463", "J1885")
    now = two_lines("J3301", "G0463") | {"related": _prior()}
    now["item"][1]["quantity"] = {"value": Decimal(2)}
    bundle = json.loads(PROFILE.submit_request(to_bytes(with_changes(now, prior)), NAME).body)

    told = [
        (i["sequence"], codes_of(i, "certificationType"), codes_of(i, "infoChanged"), "modifierExtension" in i)
        for i in claim_of(bundle)["item"]
    ]
    assert told == [
        (1, ["S"], ["changed"], False),
        (2, ["3"], ["changed"], True),
        (3, ["I"], ["added"], False),
    ]
    assert pas.faults_of(bundle, "pas-request-bundle") == []
    assert claim_of(bundle)["meta"]["profile"] == [f"{pas.PAS}profile-claim-update"]


def test_a_number_is_never_used_again() -> None:
    first = two_lines("G0463", "J1885")
    second = with_changes(two_lines("G0463"), first)
    third = with_changes(two_lines("G0463", "J3301"), second)
    numbers = [(i["sequence"], i["productOrService"]["coding"][0]["code"]) for i in third["item"]]
    assert numbers == [(1, "G0463"), (2, "J1885"), (3, "J3301")]


def test_an_update_of_the_same_changes_nothing() -> None:
    prior = two_lines("G0463", "J1885")
    assert with_changes(two_lines("G0463", "J1885"), prior)["item"] == prior["item"]


@needs_package
def test_cancelling_cancels_the_whole_and_stays_active() -> None:
    void = void_claim(two_lines("G0463", "J1885"), "CLM-2", DAY)
    bundle = json.loads(PROFILE.submit_request(to_bytes(void), NAME).body)
    claim = claim_of(bundle)
    assert claim["status"] == "active"
    assert codes_of(claim, "certificationType") == ["3"]
    assert [codes_of(i, "certificationType") for i in claim["item"]] == [["3"], ["3"]]
    assert claim["related"][0]["claim"]["identifier"]["value"] == "CLM-1"
    assert pas.faults_of(bundle, "pas-request-bundle") == []


def _prior() -> list[Json]:
    return void_claim(two_lines("G0463"), "CLM-2", DAY)["related"]  # type: ignore[no-any-return]  # JSON


# --- the guide's examples


def contained(bundle: Json) -> Json:
    """An example request as a claim of ours: parties contained, without what PAS adds."""
    entries = {e["fullUrl"]: e["resource"] for e in bundle["entry"]}
    named = {f"{r['resourceType']}/{r['id']}": r for r in entries.values()}
    text = json.dumps(claim_of(bundle), default=float)
    for role in [r for r in named.values() if r["resourceType"] == "PractitionerRole"]:
        text = text.replace(f"PractitionerRole/{role['id']}", role["practitioner"]["reference"])
    people = [r for r in named.values() if r["resourceType"] in ("Patient", "Organization", "Practitioner", "Coverage")]
    text = json.dumps({"claim": json.loads(text), "contained": people}, default=float)
    for name in named:
        text = text.replace(f'"{name}"', f'"#{name.partition("/")[2]}"')
    made = json.loads(text, parse_float=Decimal)
    claim: Json = {k: v for k, v in made["claim"].items() if k not in ("extension", "supportingInfo", "text", "meta")}
    claim["item"] = [{k: v for k, v in i.items() if "xtension" not in k and k != "category"} for i in claim["item"]]
    return claim | {"contained": made["contained"]}


REMADE = {
    "HomecareAuthorizationBundleExample": [("G0154", "42", "I"), ("B4184", "42", "I")],
    "MedicalServicesAuthorizationBundleExample": None,
    "ReferralAuthorizationBundleExample": None,
    "SurgicalRequestBundleExample": None,
}


@needs_package
@pytest.mark.parametrize("name", REMADE)
def test_an_example_of_the_guide_made_again_bills_the_same_and_follows_its_profiles(name: str) -> None:
    example = pas.examples("Bundle")[name]
    theirs = claim_of(example)
    kinds = {_code(i, "productOrService"): _code(i, "category") for i in theirs["item"]}
    rules = replace(RULES, service_types=kinds, request_type=codes_of(theirs["item"][0], "serviceItemRequestType")[0])
    identifier = Identifier(theirs["identifier"][0]["value"], theirs["identifier"][0]["system"])
    body = to_bytes(contained(example))
    bundle = json.loads(DaVinciPas(rules).submit_request(body, identifier).body)
    ours = claim_of(bundle)

    assert [_services(i) for i in ours["item"]] == [_services(i) for i in theirs["item"]]
    assert {e["resource"]["resourceType"] for e in bundle["entry"]} >= {"Claim", "Patient", "Coverage", "Organization"}
    assert pas.faults_of(bundle, "pas-request-bundle") == []


def _services(item: Json) -> list[Any]:
    kinds = [_code(item, name) for name in ("productOrService", "category", "locationCodeableConcept")]
    told = [codes_of(item, name) for name in ("serviceItemRequestType", "certificationType")]
    return [item["sequence"], *kinds, *told, item.get("servicedDate"), item.get("diagnosisSequence")]


def _code(item: Json, name: str) -> str:
    coding: Json = item[name]["coding"][0]
    return str(coding["code"])


@needs_package
def test_the_guides_update_is_made_again_from_its_two_claims() -> None:
    bundles = pas.examples("Bundle")
    prior = contained(bundles["HomecareAuthorizationBundleExample"])
    theirs = claim_of(bundles["HomecareAuthorizationUpdateBundleExample"])
    now = contained(bundles["HomecareAuthorizationUpdateBundleExample"])
    now["item"] = [i for i in now["item"] if i["sequence"] != 2]
    rules = replace(RULES, service_type="42", service_types={})
    made = json.loads(DaVinciPas(rules).submit_request(to_bytes(with_changes(now, prior)), NAME).body)

    marks = [
        (i["sequence"], codes_of(i, "certificationType"), codes_of(i, "infoChanged"), "modifierExtension" in i)
        for i in claim_of(made)["item"]
    ]
    assert marks == [
        (i["sequence"], codes_of(i, "certificationType"), codes_of(i, "infoChanged"), "modifierExtension" in i)
        for i in theirs["item"]
    ]


# --- what comes back


def answer(resource: Json, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, to_bytes(resource))


def example(name: str) -> Json:
    return read_json(to_bytes(pas.examples("Bundle")[name]))  # type: ignore[no-any-return]  # JSON


THEIRS = Identifier("111099", "http://example.org/PATIENT_EVENT_TRACE_NUMBER")


@needs_package
@pytest.mark.parametrize(
    ("name", "status", "review", "number"),
    [
        ("ReferralAuthorizationResponseBundleExample", ClaimStatus.COMPLETE, "A1", "AUTH0001"),
        ("ReferralPendingAuthorizationResponseBundleExample", ClaimStatus.QUEUED, "A4", ""),
        ("RejectionResponseBundleExample", ClaimStatus.DENIED, "A3", ""),
        ("ErrorResponseBundleExample", ClaimStatus.DENIED, "", ""),
    ],
)
def test_the_guides_answers_are_read(name: str, status: ClaimStatus, review: str, number: str) -> None:
    outcome = PROFILE.read_submit(answer(example(name)), THEIRS)
    decision = outcome.adjudication
    assert decision is not None
    assert (decision.status, decision.authorization) == (status, number)
    assert [line.review for line in decision.lines] == ([review] if review else [])
    assert decision.pended is (review == "A4")
    assert outcome.kind is (OutcomeKind.TAKEN if decision.pended else OutcomeKind.ANSWERED)


@needs_package
def test_days_of_an_authorisation_and_errors_are_read() -> None:
    good = PROFILE.read_submit(answer(example("ReferralAuthorizationResponseBundleExample")), THEIRS).adjudication
    bad = PROFILE.read_submit(answer(example("ErrorResponseBundleExample")), THEIRS).adjudication
    assert good is not None
    assert bad is not None
    assert (good.authorized_from, good.authorized_to) == ("2005-05-02", "2005-06-02")
    assert bad.errors == ("04", "T4")


@needs_package
def test_an_inquiry_finds_the_request_by_its_trace_number() -> None:
    told = example("PASClaimInquiryResponseBundleExample")
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "return", "resource": told}]}
    for resource in (told, parameters):
        assert PROFILE.read_find(answer(resource), THEIRS).kind is OutcomeKind.FOUND
        assert PROFILE.read_poll(answer(resource), "", THEIRS).kind is OutcomeKind.ANSWERED
    other = replace(THEIRS, value="111100")
    assert PROFILE.read_find(answer(told), other).kind is OutcomeKind.NOT_FOUND
    assert PROFILE.read_poll(answer(told), "", other).kind is OutcomeKind.PENDING


def test_an_answer_that_names_no_request_is_never_taken_for_its_absence() -> None:
    response = {"resourceType": "ClaimResponse", "id": "3", "outcome": "complete", "request": {"reference": "Claim/7"}}
    told = answer({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": response}]})
    assert PROFILE.read_find(told, NAME).kind is OutcomeKind.UNKNOWN
    assert PROFILE.read_poll(told, "Claim/8", NAME).kind is OutcomeKind.UNKNOWN
    for reference in ("Claim/7", "ClaimResponse/3"):
        assert PROFILE.read_poll(told, reference, NAME).kind is OutcomeKind.ANSWERED


@needs_package
def test_a_pended_request_is_asked_after_until_it_is_decided() -> None:
    pended = PROFILE.read_poll(answer(example("ReferralPendingAuthorizationResponseBundleExample")), "", THEIRS)
    assert pended.kind is OutcomeKind.PENDING
    assert pended.adjudication is not None
    assert pended.adjudication.pended


@needs_package
def test_a_notification_carries_the_decision() -> None:
    (told,) = notice_of(example("PASSubscriptionNotification")).told
    decision = told.outcome().adjudication
    assert decision is not None
    assert decision.authorization == "AUTH0001"
    assert told.claim_identifiers(THEIRS.system) == [THEIRS.value]


@needs_package
def test_a_subscription_follows_the_guides_profile() -> None:
    made = json.loads(subscription("1234567893", "https://clinic.example/news", "SECRET"))
    theirs = pas.examples("Subscription")["PASSubscriptionExample"]
    assert pas.Judge().judge(made, f"{pas.PAS}profile-subscription") == []
    assert (made["criteria"], made["_criteria"]) == (theirs["criteria"], theirs["_criteria"])
    assert made["channel"]["header"] == ["Authorization: Bearer SECRET"]


@needs_package
def test_requests_for_documents_are_read_from_tasks_and_communication_requests() -> None:
    task = pas.examples("Task")["AdditionalInformationTaskExample"]
    asked = pas.examples("CommunicationRequest")["CommunicationRequestExample"]
    response = {"resourceType": "ClaimResponse", "outcome": "complete"}
    first, second = read_claim_response(response, [response, task, asked]).requests
    assert first == DocumentRequest("documents", ("28570-0",), (1,), "", "Task/AdditionalInformationTaskExample")
    assert second.kind == "documents"
    assert second.codes


@pytest.mark.parametrize(
    ("reviews", "status"),
    [
        (["A1", "A1"], ClaimStatus.COMPLETE),
        (["A1", "A3"], ClaimStatus.PARTIAL),
        (["A2", "A1"], ClaimStatus.PARTIAL),
        (["A6"], ClaimStatus.PARTIAL),
        (["A3", "A3"], ClaimStatus.DENIED),
        (["A1", "A4"], ClaimStatus.QUEUED),
        (["CT"], ClaimStatus.QUEUED),
        (["NA"], ClaimStatus.COMPLETE),
        (["C", "C"], ClaimStatus.COMPLETE),
        (["ZZ"], ClaimStatus.QUEUED),
    ],
)
def test_status_by_the_reviews_of_the_lines(reviews: list[str], status: ClaimStatus) -> None:
    items = [{"itemSequence": n, "adjudication": [reviewed(code)]} for n, code in enumerate(reviews, start=1)]
    assert read_claim_response({"outcome": "complete", "item": items}).status is status
    whole = {"outcome": "complete", "adjudication": [reviewed(reviews[0])]}
    assert len(set(reviews)) > 1 or read_claim_response(whole).status is status


def test_lines_with_several_numbers_give_no_number_of_the_whole() -> None:
    items = [{"itemSequence": n, "adjudication": [reviewed("A1", f"N{n}")]} for n in (1, 2)]
    decision = read_claim_response({"outcome": "complete", "item": items})
    assert [line.authorization for line in decision.lines] == ["N1", "N2"]
    assert decision.authorization == ""
    assert read_claim_response({"outcome": "complete", "item": items[:1]}).authorization == "N1"


def test_an_answer_about_another_request_says_nothing_about_this_one() -> None:
    other = {"system": NAME.system, "value": "CLM-9"}
    response = {"resourceType": "ClaimResponse", "outcome": "complete", "identifier": [other]}
    assert PROFILE.read_submit(answer(response), NAME).kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (HttpAnswer(200, {}, b"<html>"), OutcomeKind.UNKNOWN),
        (HttpAnswer(404), OutcomeKind.REFUSED),
        (HttpAnswer(503), OutcomeKind.BUSY),
        (HttpAnswer(202), OutcomeKind.UNKNOWN),
        (
            answer({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-found"}]}),
            OutcomeKind.NOT_FOUND,
        ),
        (
            answer({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "transient"}]}),
            OutcomeKind.UNKNOWN,
        ),
        (answer({"resourceType": "Bundle", "type": "collection"}), OutcomeKind.NOT_FOUND),
    ],
)
def test_an_inquiry_that_cannot_be_answered_settles_nothing(said: HttpAnswer, kind: OutcomeKind) -> None:
    assert PROFILE.read_find(said, NAME).kind is kind


def reviewed(code: str, number: str = "") -> Json:
    parts: list[Json] = [
        {"url": f"{pas.PAS}extension-reviewActionCode", "valueCodeableConcept": {"coding": [{"code": code}]}}
    ]
    parts += [{"url": "number", "valueString": number}] if number else []
    return {"extension": [{"url": f"{pas.PAS}extension-reviewAction", "extension": parts}]}
