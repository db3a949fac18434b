"""The terminology of the service as other systems ask it: a real process, real sockets, the shipped tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from fhir.resources.conceptmap import ConceptMap as ConceptMapR5
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.conceptmap import ConceptMap
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.parameters import Parameters
from fhir.resources.R4B.terminologycapabilities import TerminologyCapabilities
from hypothesis import HealthCheck, settings
from schemathesis import checks
from typer.testing import CliRunner

from fhir_coder.cli import cli
from fhir_coder.model import Kind
from fhir_coder.settings import Settings, example_settings
from fhir_coder.terminology import load_tables
from fhir_coder.trial import HOST, Trial
from fhir_coder.web.terminology_openapi import openapi

SCT, ICD10CM = "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"
HCPCS, CPT = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "http://www.ama-assn.org/go/cpt"
R5 = "application/fhir+json; fhirVersion=5.0"
HYPERTENSION = "38341003"
ON = "2026-11-03"
POISON = "Zzpoisonname"


class Asked:
    """One service, and what it answers."""

    def __init__(self, trial: Trial, token: str = "") -> None:
        self.url = f"http://{HOST}:{trial.http_port}"
        self.trial, self._headers = trial, {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, status: int = 200, /, accept: str = "", **query: Any) -> Any:
        """The JSON of a GET below /fhir; a keyword `source_code` is the parameter `source-code`."""
        said = {name.replace("__", "-"): value for name, value in query.items()}
        headers = self._headers | ({"Accept": accept} if accept else {})
        answer = requests.get(f"{self.url}/fhir/{path}", params=said, headers=headers, timeout=60)
        assert answer.status_code == status, answer.text
        return checked(answer)

    def post(self, path: str, *listed: dict[str, Any], status: int = 200) -> Any:
        """The JSON of a POST of Parameters."""
        body = json.dumps({"resourceType": "Parameters", "parameter": listed})
        headers = self._headers | {"Content-Type": "application/fhir+json"}
        answer = requests.post(f"{self.url}/fhir/{path}", data=body, headers=headers, timeout=60)
        assert answer.status_code == status, answer.text
        return checked(answer)

    def translate(self, system: str, code: str, table: str = "", **said: Any) -> dict[str, Any]:
        path = f"ConceptMap/{table}/$translate" if table else "ConceptMap/$translate"
        return told(self.get(path, system=system, code=code, **({"date": ON} | said)))


def checked(answer: requests.Response) -> Any:
    """The body, which the FHIR model of what it is reads."""
    resource = answer.json()
    if "fhirVersion=5.0" not in answer.headers["Content-Type"]:
        kinds = (Parameters, OperationOutcome, Bundle, ConceptMap, CapabilityStatement, TerminologyCapabilities)
        kind = next(one for one in kinds if one.__name__ == resource["resourceType"])
        kind.model_validate(resource)
    return resource


def value_of(one: dict[str, Any]) -> Any:
    return next((value for key, value in one.items() if key.startswith("value")), one.get("part"))


def told(resource: dict[str, Any]) -> dict[str, Any]:
    """The parameters of an answer by name; matches in a list, each by its parts."""
    listed = resource["parameter"]
    named = {one["name"]: value_of(one) for one in listed if one["name"] != "match"}
    matches = [{part["name"]: value_of(part) for part in one["part"]} for one in listed if one["name"] == "match"]
    return {**named, "matches": matches}


def properties(resource: dict[str, Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for one in resource["parameter"]:
        if one["name"] == "property":
            parts = {part["name"]: value_of(part) for part in one["part"]}
            found.setdefault(parts["code"], []).append(parts.get("value"))
    return found


def issue_of(outcome: dict[str, Any]) -> tuple[str, str]:
    """The code and the expression of the one issue."""
    [issue] = outcome["issue"]
    return issue["code"], issue.get("expression", [""])[0]


def dependency(name: str, **concept: Any) -> dict[str, Any]:
    element = {"name": "element", "valueUri": f"urn:fhir-coder:row:{name}"}
    return {"name": "dependency", "part": [element, {"name": "concept", "valueCodeableConcept": concept}]}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with Trial(tmp_path_factory.mktemp("terminology"), example_settings()) as trial:
        trial.start_adapter()
        yield Asked(trial)


TABLE = """\
id = "{id}"
title = "Made-up services"
kind = "charge"
source_system = "local"
target_system = ["hcpcs", "cpt"]
version = "1"
licence = "{licence}"
"""
ROWS = """\
source_code,display,target_system,target_code,modifiers,units
OV-1,Visit,hcpcs,G0463,LT,2
OV-2,Made-up,cpt,9000A,,
"""
CPT_LIST = 'title = "Made-up list"\nversion = "1"\ncovers_from = "2015-10-01"\n'


def site_of(folder: Path, serve_licensed: bool = False, **changed: Any) -> Settings:
    """A site whose tables have codes of a licensed system, with a made-up list of them."""
    tables = folder / "tables"
    (tables / "codesets").mkdir(parents=True)
    for name, licence in (("services", "the site's own"), ("bare", "")):
        (tables / f"{name}.toml").write_text(TABLE.format(id=name, licence=licence))
        (tables / f"{name}.csv").write_text(ROWS)
    (tables / "bare.toml").write_text(TABLE.format(id="bare", licence="").replace(', "cpt"', ""))
    (tables / "bare.csv").write_text(ROWS.replace("cpt,9000A", "hcpcs,G0463").replace("OV-", "BARE-"))
    (tables / "codesets" / "cpt.toml").write_text(CPT_LIST)
    (tables / "codesets" / "cpt.csv").write_text("code,title,valid_from,valid_to\n9000A,A made-up service,,\n")
    base = example_settings()
    own = base.tables.model_copy(update={"dir": tables, "serve_licensed": serve_licensed})
    return base.model_copy(update={"tables": own, **changed})


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A site with licensed content that is not for others."""
    folder = tmp_path_factory.mktemp("closed")
    with Trial(folder, site_of(folder)) as trial:
        trial.start_adapter()
        yield Asked(trial)


# --- $translate


def samples() -> list[Any]:
    tables = load_tables(example_settings().table_folders())
    found = []
    for summary in tables.describe():
        table = tables.table(summary.id)
        assert table is not None
        codes = sorted(table.rows) if table.kind is not Kind.FEE else []
        found += [pytest.param(table.id, table.source_system, codes[:: max(1, len(codes) // 2)], id=table.id)]
    return found


@pytest.mark.parametrize(("table", "system", "codes"), samples())
def test_http_and_the_command_line_give_the_same_targets(
    asked: Asked, table: str, system: str, codes: list[str]
) -> None:
    for code in codes:
        command = ["translate", "--system", system, "--code", code, "--table", table, "--date", ON, "--json"]
        of_command = json.loads(CliRunner().invoke(cli, command).stdout)
        of_http = asked.translate(system, code, table.replace("_", "-"))

        targets = [{**one["concept"], **one} for one in of_http["matches"] if "concept" in one]
        names = ("system", "code", "table", "row", "version")
        assert [[one[n] for n in names] for one in targets] == [
            [one[n] for n in names] for one in of_command["targets"]
        ]
        reason = (of_command["gap"] or {}).get("reason") or ("not_billable" if of_command["not_billable"] else None)
        assert of_http.get("reason") == reason
        assert of_http["result"] is bool(targets)


def test_a_code_is_translated_with_table_row_version_and_title(asked: Asked) -> None:
    [match] = asked.translate("sct", HYPERTENSION, age="70")["matches"]

    assert match["concept"] == {"system": ICD10CM, "code": "I10", "display": "Essential (primary) hypertension"}
    assert match["equivalence"] == "relatedto"
    assert match["source"].startswith("urn:fhir-coder:table:snomed-to-icd10cm|")
    assert match["version"].startswith("snomed-to-icd10cm@")


def test_a_gap_is_result_false_with_its_reason_and_no_match(asked: Asked) -> None:
    answer = asked.translate(SCT, HYPERTENSION)

    assert (answer["result"], answer["reason"], answer["matches"]) == (False, "unknown_context", [])
    assert answer["message"].startswith("unknown_context: The age is not known")


def test_not_billable_is_an_unmatched_match_and_result_false(asked: Asked) -> None:
    answer = asked.translate(SCT, "219006")

    assert (answer["result"], answer["reason"]) == (False, "not_billable")
    assert answer["matches"][0]["equivalence"] == "unmatched"
    assert "concept" not in answer["matches"][0]


@pytest.mark.parametrize(
    ("word", "name", "concept"),
    [("age=3d", "age", {"text": "3d"}), ("age=70", "age", {"coding": [{"code": "70"}]})],
)
def test_a_dependency_says_what_the_word_of_its_name_says(
    asked: Asked, word: str, name: str, concept: dict[str, Any]
) -> None:
    coding = {"name": "coding", "valueCoding": {"system": SCT, "code": HYPERTENSION}}
    key, _, text = word.partition("=")

    by_post = told(asked.post("ConceptMap/$translate", coding, dependency(name, **concept)))

    assert (
        by_post["matches"]
        == told(asked.get("ConceptMap/$translate", system=SCT, code=HYPERTENSION, **{key: text}))["matches"]
    )
    assert by_post["result"] is True


def test_every_word_of_the_chart_is_taken_as_a_dependency(asked: Asked) -> None:
    concept = {"name": "codeableConcept", "valueCodeableConcept": {"coding": [{"system": SCT, "code": HYPERTENSION}]}}
    words = {"sex": "female", "date": ON, "encounter_class": "AMB", "payer": "lakeshore", "care_setting": "50"}
    words |= {
        "feed": "http",
        "laterality": "left",
        "use": "principal",
        "episode": "A",
        "kind": "diagnosis",
        "age": "70",
    }
    listed = [dependency(name, text=text) for name, text in words.items()]
    further = dependency("with", coding=[{"system": SCT, "code": "44054006"}])

    answer = told(asked.post("ConceptMap/$translate", concept, *listed, further))

    assert [one["concept"]["code"] for one in answer["matches"]] == ["I10"]


def test_a_payer_that_is_misspelt_is_refused_and_not_passed_over(asked: Asked) -> None:
    coding = {"name": "coding", "valueCoding": {"system": SCT, "code": HYPERTENSION}}

    outcome = asked.post("ConceptMap/$translate", coding, dependency("payer", text="lakeshor"), status=400)

    assert issue_of(outcome) == ("value", "Parameters.parameter[1].part[1].valueCodeableConcept")
    assert "did you mean lakeshore" in outcome["issue"][0]["diagnostics"]


def test_a_dependency_that_is_not_known_is_refused_and_not_passed_over(asked: Asked) -> None:
    coding = {"name": "coding", "valueCoding": {"system": SCT, "code": HYPERTENSION}}

    outcome = asked.post("ConceptMap/$translate", coding, dependency("weather", text="fine"), status=400)

    assert issue_of(outcome) == ("not-supported", "Parameters.parameter[1].part[0].valueUri")


def test_the_system_wanted_picks_the_tables(asked: Asked) -> None:
    given = asked.translate("cvx", "140")["matches"]
    reason = asked.translate("cvx", "140", targetsystem=ICD10CM)["matches"]
    by_value_set = asked.translate("cvx", "140", target=f"{ICD10CM}?fhir_vs")["matches"]

    assert [one["concept"]["system"] for one in given] == [HCPCS]
    assert [one["concept"]["code"] for one in reason] == ["Z23"]
    assert by_value_set == reason


def test_one_table_is_asked_by_its_url_or_its_id_and_a_version_must_fit(asked: Asked) -> None:
    url = "urn:fhir-coder:table:v2-sex"

    by_url = told(asked.get("ConceptMap/$translate", url=url, code="F"))
    by_id = told(asked.get("ConceptMap/v2-sex/$translate", code="F"))

    assert by_url == by_id
    assert by_url["matches"][0]["concept"]["code"] == "female"
    asked.get("ConceptMap/$translate", 404, url=f"{url}|no-such-version", code="F")
    asked.get("ConceptMap/$translate", 404, url="urn:fhir-coder:table:no-such", code="F")
    asked.get("ConceptMap/no-such/$translate", 404, code="F")


def test_reverse_is_answered_only_where_one_code_leads_there(asked: Asked) -> None:
    one = told(asked.get("ConceptMap/v2-sex/$translate", code="female", reverse="true"))
    none = told(asked.get("ConceptMap/v2-sex/$translate", code="no-such", reverse="true"))
    several = asked.get("ConceptMap/v2-sex/$translate", 422, code="other", reverse="true")
    without_table = asked.get("ConceptMap/$translate", 422, system=ICD10CM, code="I10", reverse="true")

    assert [match["concept"]["code"] for match in one["matches"]] == ["F"]
    assert none["result"] is False
    assert issue_of(several)[0] == issue_of(without_table)[0] == "not-supported"


def test_r5_is_asked_and_answered_by_its_names(asked: Asked) -> None:
    answer = asked.get("ConceptMap/$translate", accept=R5, system=SCT, sourceCode=HYPERTENSION, age="70")

    [match] = told(answer)["matches"]
    assert (match["relationship"], match["concept"]["code"]) == ("related-to", "I10")
    assert match["originMap"].startswith("urn:fhir-coder:table:snomed-to-icd10cm|")


def test_what_a_row_brings_comes_with_the_match(closed: Asked) -> None:
    [match] = closed.translate("local", "OV-1")["matches"]

    assert match["units"] == 2
    [element, concept] = match["product"]
    assert element["valueUri"] == "urn:fhir-coder:row:modifiers"
    assert (concept["valueCoding"]["code"], concept["valueCoding"]["system"]) == ("LT", HCPCS)


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ({"code": "1"}, "required", "system"),
        ({"system": SCT, "code": "1", "age": "old"}, "value", "age"),
        ({"system": SCT, "code": "1", "sex": "girl"}, "value", "sex"),
        ({"system": SCT, "code": "1", "date": "2026-02-30"}, "value", "date"),
        ({"system": SCT, "code": "1", "date": "soon"}, "value", "date"),
        ({"system": "not a uri", "code": "1"}, "value", "system"),
        ({"system": "nosuch", "code": "1"}, "value", "system"),
        ({"system": SCT, "code": " "}, "value", "code"),
        ({"system": SCT, "code": "x" * 2000}, "value", "code"),
        ({"system": SCT, "code": ["1", "2"]}, "structure", "code"),
        ({"system": SCT, "code": "1", "reverse": "maybe"}, "value", "reverse"),
        ({"system": SCT, "code": "1", "coding": "x"}, "structure", "coding"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named_and_never_repeated(
    asked: Asked, query: dict[str, Any], code: str, name: str
) -> None:
    outcome = asked.get("ConceptMap/$translate", 400, **query)

    assert issue_of(outcome) == (code, f"Parameters.parameter.where(name='{name}')")


@pytest.mark.parametrize(
    ("body", "expression"),
    [
        (b"{", ""),
        (b"[]", "Parameters"),
        (b'{"resourceType":"Patient"}', "Parameters"),
        (b'{"resourceType":"Parameters","parameter":{}}', "Parameters.parameter"),
        (b'{"resourceType":"Parameters","parameter":[{"valueCode":"x"}]}', "Parameters.parameter[0].name"),
        (b'{"resourceType":"Parameters","parameter":[{"name":"code"}]}', "Parameters.parameter[0]"),
        (
            b'{"resourceType":"Parameters","parameter":[{"name":"code","valueCode":1}]}',
            "Parameters.parameter[0].valueCode",
        ),
        (
            b'{"resourceType":"Parameters","parameter":[{"name":"coding","valueCoding":[]}]}',
            "Parameters.parameter[0].valueCoding",
        ),
        (
            b'{"resourceType":"Parameters","parameter":[{"name":"coding","valueCoding":{"code":[]}}]}',
            "Parameters.parameter[0].valueCoding.code",
        ),
        (b'{"resourceType":"Parameters","parameter":[{"name":"dependency"}]}', "Parameters.parameter[0]"),
        (
            b'{"resourceType":"Parameters","parameter":[{"name":"Zzpoisonname","valueCode":"x"}]}',
            "Parameters.parameter[0].name",
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_where_it_is_wrong(asked: Asked, body: bytes, expression: str) -> None:
    headers = {"Content-Type": "application/fhir+json"}
    answer = requests.post(f"{asked.url}/fhir/ConceptMap/$translate", data=body, headers=headers, timeout=30)

    assert answer.status_code == 400
    assert issue_of(checked(answer))[1] == expression
    assert POISON not in answer.text


# --- code sets


def test_a_code_is_looked_up_with_what_matters_to_billing(asked: Asked) -> None:
    answer = asked.get("CodeSystem/$lookup", system=ICD10CM, code="E11", date=ON)
    said = properties(answer)

    assert told(answer)["display"] == "Type 2 diabetes mellitus"
    assert (said["billable"], said["notSelectable"], said["inactive"]) == ([False], [True], [False])
    assert "E11.9" in said["instead"]
    assert {"parent", "child", "excludes1", "includes", "use-additional"} <= set(said)


def test_a_code_says_since_when_it_is_valid(asked: Asked) -> None:
    answer = asked.get("CodeSystem/$lookup", system=ICD10CM, code="U07.1", date="2020-01-01")
    listed = [one["part"] for one in answer["parameter"] if one["name"] == "property"]
    [period] = [parts[1:] for parts in listed if parts[0]["valueCode"] == "period"]

    assert properties(answer)["inactive"] == [True]
    assert [[value_of(part) for part in one["part"]] for one in period] == [["valid-from", "2020-04-01"]]


def test_a_property_is_asked_by_name(asked: Asked) -> None:
    answer = asked.get("CodeSystem/$lookup", system="hcpcs", code="G0463", property=["billable", "definition"])

    assert set(properties(answer)) == {"billable", "definition"}
    assert "designation" not in told(answer)
    assert told(answer)["version"] == "2026-01"


def test_a_modifier_is_looked_up_in_the_system_of_its_codes(asked: Asked) -> None:
    assert told(asked.get("CodeSystem/$lookup", system=HCPCS, code="LT"))["display"] == "Left side"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"system": ICD10CM, "code": "E11.99999"}, 404, "not-found"),
        ({"system": ICD10CM, "code": "e11.9"}, 404, "not-found"),
        ({"system": SCT, "code": HYPERTENSION}, 404, "not-found"),
        ({"system": ICD10CM, "code": "E11.9", "version": "1066"}, 404, "not-found"),
        ({"system": ICD10CM}, 400, "required"),
        ({"code": "E11.9"}, 400, "required"),
    ],
)
def test_a_lookup_of_what_is_not_there_says_so(asked: Asked, query: dict[str, str], status: int, code: str) -> None:
    assert issue_of(asked.get("CodeSystem/$lookup", status, **query))[0] == code


@pytest.mark.parametrize(
    ("query", "is_valid", "message"),
    [
        ({"code": "E11.9"}, True, ""),
        ({"code": "E11.9", "display": "type 2 DIABETES mellitus  without complications"}, True, ""),
        ({"code": "E11.9", "display": POISON}, False, "not one of its titles"),
        ({"code": "E11"}, False, "a header"),
        ({"code": "E11", "abstract": "true"}, True, ""),
        ({"code": "E119"}, False, "with its dot"),
        ({"code": "E11.99999"}, False, "does not have this code"),
        ({"code": "U07.1", "date": "2020-03-31"}, False, "not valid on 2020-03-31"),
        ({"code": "U07.1", "date": "2020-04-01"}, True, ""),
    ],
)
def test_a_code_is_validated_on_its_date(asked: Asked, query: dict[str, str], is_valid: bool, message: str) -> None:
    answer = told(asked.get("CodeSystem/$validate-code", url=ICD10CM, **({"date": ON} | query)))

    assert answer["result"] is is_valid
    assert message in answer.get("message", "")
    assert POISON not in str(answer)


def test_one_valid_coding_makes_a_concept_valid(asked: Asked) -> None:
    codings = [{"system": SCT, "code": "1"}, {"system": ICD10CM, "code": "E11"}, {"system": ICD10CM, "code": "E11.9"}]
    concept = {"name": "codeableConcept", "valueCodeableConcept": {"coding": codings}}

    assert told(asked.post("CodeSystem/$validate-code", concept))["result"] is True
    concept["valueCodeableConcept"]["coding"] = codings[:1]  # type: ignore[index]  # a list of JSON
    asked.post("CodeSystem/$validate-code", concept, status=404)


def test_a_date_that_no_edition_covers_is_refused_and_not_called_invalid(asked: Asked) -> None:
    outcome = asked.get("CodeSystem/$validate-code", 422, url=ICD10CM, code="E11.9", date="2099-01-01")

    assert issue_of(outcome)[0] == "not-supported"


# --- tables


def test_a_table_is_read_as_the_command_exports_it(asked: Asked) -> None:
    for accept, more in (("", []), (R5, ["--r5"])):
        command = ["tables", "export", "cvx-to-icd10cm", "--format", "concept-map", *more]
        exported = json.loads(CliRunner().invoke(cli, command).stdout)

        read = asked.get("ConceptMap/cvx-to-icd10cm", accept=accept)

        assert {key: value for key, value in read.items() if key != "meta"} == exported
        assert "tag" not in read["meta"]
    ConceptMapR5.model_validate(read)


def test_tables_are_found_by_what_they_map(asked: Asked) -> None:
    def ids(**query: Any) -> list[str]:
        return [one["resource"]["id"] for one in asked.get("ConceptMap", **query).get("entry", [])]

    assert ids(url="urn:fhir-coder:table:v2-sex") == ["v2-sex"]
    assert "snomed-to-icd10cm" in ids(source__system=SCT, target__system=ICD10CM)
    assert ids(source__code="cvx|140", target__system=ICD10CM) == ["cvx-to-icd10cm"]
    assert ids(name="t_v2_SEX") == ["v2-sex"]
    assert ids(status="draft") == []
    assert ids(_id="v2-sex", version="2026.11") == ["v2-sex"]


def test_the_next_links_lead_through_all_tables_once(asked: Asked) -> None:
    first = asked.get("ConceptMap", _count=5)
    pages, page = [first], first
    while link := next((one["url"] for one in page["link"] if one["relation"] == "next"), None):
        page = checked(requests.get(link, timeout=30))
        pages.append(page)

    found = [entry["resource"]["id"] for one in pages for entry in one["entry"]]
    assert len(found) == len(set(found)) == first["total"]
    assert asked.get("ConceptMap", _summary="count") == asked.get("ConceptMap", _count=0) | {
        "link": [{"relation": "self", "url": f"{asked.url}/fhir/ConceptMap?_summary=count"}]
    }


def test_a_search_shows_rows_only_where_it_asks_for_them(asked: Asked) -> None:
    [short] = asked.get("ConceptMap", _id="v2-sex")["entry"]
    [whole] = asked.get("ConceptMap", _id="v2-sex", _summary="false")["entry"]

    assert "group" not in short["resource"]
    assert short["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert whole["resource"] == asked.get("ConceptMap/v2-sex")


def test_a_search_parameter_that_is_not_known_is_refused_unless_the_sender_is_lenient(asked: Asked) -> None:
    asked.get("ConceptMap", 400, colour="red")
    lenient = {"Prefer": "handling=lenient"}

    answer = requests.get(f"{asked.url}/fhir/ConceptMap?colour=red&_id=v2-sex", headers=lenient, timeout=30)

    assert checked(answer)["total"] == 1
    form = requests.post(f"{asked.url}/fhir/ConceptMap/_search", data={"_id": "v2-sex"}, timeout=30)
    assert checked(form)["total"] == 1


# --- licences


def test_rows_with_licensed_codes_are_not_shown_and_single_codes_are_translated(closed: Asked) -> None:
    for name, why in (("services", "licensed system"), ("bare", "names no licence")):
        shown = closed.get(f"ConceptMap/{name}")
        assert "group" not in shown
        assert why in shown["purpose"]
        assert shown["meta"]["tag"][0]["code"] == "SUBSETTED"
    [entry] = closed.get("ConceptMap", _id="services", _summary="false")["entry"]
    assert "group" not in entry["resource"]
    [match] = closed.translate("local", "OV-2")["matches"]
    assert match["concept"] == {"system": CPT, "code": "9000A"}


def test_texts_of_a_licensed_list_are_not_told_and_its_codes_are_judged(closed: Asked) -> None:
    assert issue_of(closed.get("CodeSystem/$lookup", 403, system=CPT, code="9000A"))[0] == "forbidden"
    valid = told(closed.get("CodeSystem/$validate-code", url=CPT, code="9000A", date=ON))
    invalid = told(closed.get("CodeSystem/$validate-code", url=CPT, code="9000B", date=ON))

    assert (valid["result"], "display" in valid, invalid["result"]) == (True, False, False)
    guess = told(closed.get("CodeSystem/$validate-code", url=CPT, code="9000A", date=ON, display="Guess"))
    assert "not judged" in guess["message"]


def test_a_site_may_say_that_others_have_the_licences(tmp_path: Path) -> None:
    with Trial(tmp_path, site_of(tmp_path, serve_licensed=True)) as trial:
        trial.start_adapter()
        asked = Asked(trial)

        assert asked.get("ConceptMap/services")["group"]
        assert asked.get("ConceptMap/bare")["group"]
        assert told(asked.get("CodeSystem/$lookup", system=CPT, code="9000A"))["display"] == "A made-up service"


# --- the service around it


def test_the_statements_name_what_is_offered(asked: Asked) -> None:
    statement = asked.get("metadata")
    resources = {one["type"]: one for one in statement["rest"][0]["resource"]}
    capabilities = asked.get("metadata", mode="terminology")

    assert [one["name"] for one in resources["ConceptMap"]["operation"]] == ["translate"]
    assert [one["name"] for one in resources["CodeSystem"]["operation"]] == ["lookup", "validate-code"]
    assert {"Patient", "Encounter"} <= set(resources)
    assert {ICD10CM, HCPCS} <= {one["uri"] for one in capabilities["codeSystem"]}
    assert asked.get("metadata", accept=R5)["fhirVersion"] == "5.0.0"
    asked.get("metadata", 406, accept="application/fhir+json; fhirVersion=3.0")
    of_feed = requests.get(f"{asked.url}/feeds/http/fhir/metadata", timeout=30).json()
    assert "ConceptMap" not in {one["type"] for one in of_feed["rest"][0]["resource"]}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "ConceptMap/$translate", "GET, HEAD, POST"),
        ("PUT", "CodeSystem/$lookup", "GET, HEAD, POST"),
        ("GET", "ConceptMap/_search", "POST"),
        ("POST", "ConceptMap/v2-sex", "PUT, DELETE, GET, HEAD"),
        ("PATCH", "ConceptMap", "POST, GET, HEAD"),
    ],
)
def test_what_is_not_done_at_an_address_says_what_is(asked: Asked, method: str, path: str, allowed: str) -> None:
    answer = requests.request(method, f"{asked.url}/fhir/{path}", timeout=30)

    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


def test_without_an_http_feed_the_terminology_is_there_and_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TEST_TOKEN", "sesame")
    with Trial(tmp_path, example_settings()) as trial:
        text = trial.settings_file.read_text().partition("[[feeds]]")[0]
        head, http, tail = text.partition("[http]\n")
        text = head + http + tail.replace('token_env = ""', 'token_env = "TEST_TOKEN"', 1)
        trial.settings_file.write_text(text)
        trial.start_adapter()
        asked, stranger = Asked(trial, "sesame"), Asked(trial)

        assert asked.translate(SCT, HYPERTENSION, age="70")["result"] is True
        for path in ("ConceptMap/$translate", "ConceptMap", "CodeSystem/$lookup", "ConceptMap/v2-sex"):
            assert issue_of(stranger.get(path, 401))[0] == "login"
        resources = stranger.get("metadata")["rest"][0]["resource"]
        assert [one["type"] for one in resources] == ["CodeSystem", "ConceptMap"]
        assert requests.get(f"{asked.url}/openapi.json", timeout=30).status_code == 200
        assert issue_of(stranger.get("Patient/1", 404))[0] == "not-found"
        answer = requests.post(f"{asked.url}/fhir/ConceptMap", timeout=30)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_nothing_that_was_asked_stands_in_the_log(asked: Asked) -> None:
    asked.translate(SCT, POISON)
    asked.get("ConceptMap/$translate", 400, system=SCT, code="1", sex=POISON)
    asked.get("CodeSystem/$lookup", 404, system=ICD10CM, code=POISON)

    assert POISON not in asked.trial.log_of("adapter")


# --- its own description


def test_the_service_gives_its_description(asked: Asked) -> None:
    served = requests.get(f"{asked.url}/openapi.json", timeout=30)

    assert served.json() == json.loads(json.dumps(openapi()))


DESCRIBED = schemathesis.openapi.from_dict(openapi())
checks.load_all_checks()
HELD_AGAINST = checks.CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
        "negative_data_rejection",
    ]
)


@DESCRIBED.parametrize()
@settings(max_examples=10, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_description_says(asked: Asked, case: Any) -> None:
    case.call_and_validate(base_url=asked.url, checks=HELD_AGAINST)


def test_a_version_that_is_activated_is_asked_from_the_next_request_on(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    with Trial(tmp_path, site_of(tmp_path)) as trial:
        trial.start_adapter()
        asked = Asked(trial)
        before = asked.translate("local", "OV-1")["matches"][0]
        (folder / "services.toml").write_text(TABLE.format(id="services", licence="the site's own"))
        (folder / "services.csv").write_text(ROWS.replace("G0463", "G0438"))

        command = [
            "tables",
            "activate",
            str(folder / "services.csv"),
            "--from",
            "always",
            "-c",
            str(trial.settings_file),
        ]
        done = CliRunner().invoke(cli, command)

        assert done.exit_code == 0, done.output
        after = asked.translate("local", "OV-1")["matches"][0]
        assert (before["concept"]["code"], after["concept"]["code"]) == ("G0463", "G0438")
        assert before["version"] != after["version"]
