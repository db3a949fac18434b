"""Coding system names and coded fields."""

from __future__ import annotations

import pytest

from fhir_coder.hl7v2.reader import Field, Syntax
from fhir_coder.hl7v2.systems import read_concept, read_modifiers, system_uri, written_code
from fhir_coder.model import Coding, Concept, System

SYNTAX = Syntax()


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("I10", System.ICD10CM),
        ("i10c", System.ICD10CM),
        ("ICD-10-CM", System.ICD10CM),
        ("2.16.840.1.113883.6.90", System.ICD10CM),
        ("urn:oid:2.16.840.1.113883.6.90", System.ICD10CM),
        ("I10P", System.ICD10PCS),
        ("I9", System.ICD9CM),
        ("SCT", System.SNOMED),
        ("http://snomed.info/sct", System.SNOMED),
        ("LN", System.LOINC),
        ("C4", System.CPT),
        ("HCPCS", System.HCPCS),
        ("2.16.840.1.113883.12.292", System.CVX),
        ("NDC", System.NDC),
        ("RxNorm", System.RXNORM),
        ("L", System.LOCAL),
        ("99LOC", System.LOCAL),
        ("", System.UNKNOWN),
        ("HL70063", "http://terminology.hl7.org/CodeSystem/v2-0063"),
        ("1.2.3", "urn:oid:1.2.3"),
        ("House codes", "urn:hl7v2:HOUSE%20CODES"),
        ("https://example.org/codes", "https://example.org/codes"),
    ],
)
def test_system_names_become_uris(name: str, uri: str) -> None:
    assert system_uri(name) == uri


@pytest.mark.parametrize(
    ("system", "code", "written"),
    [
        (System.ICD10CM, "j189", "J18.9"),
        (System.ICD10CM, " I10 ", "I10"),
        (System.ICD10CM, "S72.001A", "S72.001A"),
        (System.ICD10CM, "S72001A", "S72.001A"),
        (System.ICD10PCS, "0dtj4zz", "0DTJ4ZZ"),
        (System.HCPCS, "g0463", "G0463"),
        (System.LOCAL, "rad-cxr1", "rad-cxr1"),
        (System.UNKNOWN, "J189", "J189"),
    ],
)
def test_codes_are_written_as_their_system_writes_them(system: str, code: str, written: str) -> None:
    assert written_code(system, code) == written


def concept(raw: str, default: str = "", procedure: bool = False) -> Concept | None:
    return read_concept(Field(raw, SYNTAX), default, procedure)


def test_both_codings_are_kept_first_named_first() -> None:
    assert concept("PNE^Lung^99LOC^J189^Pneumonia^I10") == Concept(
        (Coding(System.LOCAL, "PNE", "Lung"), Coding(System.ICD10CM, "J18.9", "Pneumonia")), "Lung"
    )


def test_original_text_is_preferred() -> None:
    found = concept("J18.9^Pneumonia^I10^^^^^^bad lungs")
    assert found
    assert found.text == "bad lungs"


def test_default_system_is_for_the_first_unnamed_code_only() -> None:
    assert concept("RAD-CXR1^Chest^^X1", System.LOCAL) == Concept(
        (Coding(System.LOCAL, "RAD-CXR1", "Chest"), Coding("", "X1")), "Chest"
    )


def test_bare_icd10_in_a_procedure_is_pcs() -> None:
    found = concept("0DTJ4ZZ^^I10", procedure=True)
    assert found
    assert found.codings == (Coding(System.ICD10PCS, "0DTJ4ZZ"),)


def test_oid_component_names_the_system_where_the_name_is_missing() -> None:
    found = concept("22298006^MI" + "^" * 12 + "2.16.840.1.113883.6.96")
    assert found
    assert found.codings[0].system == System.SNOMED


@pytest.mark.parametrize("raw", ["", '""', "^^I10", "^^"])
def test_no_code_and_no_text_is_no_concept(raw: str) -> None:
    assert concept(raw) is None


def test_modifiers_are_capitals_with_the_system_named() -> None:
    fields = [Field(raw, SYNTAX) for raw in ("lt", "59^^HCPCS")]
    assert read_modifiers(fields) == (Coding("", "LT"), Coding(System.HCPCS, "59"))


def test_the_senders_own_names_of_systems_go_before_the_standards() -> None:
    names = {"LOC": System.HCPCS, "I10": "urn:who:icd10"}
    own, procedure = (read_concept(Field(f"X1^^{n}", SYNTAX), "", True, names) for n in ("loc", "I10"))
    assert own
    assert procedure
    assert [own.codings[0].system, procedure.codings[0].system] == [System.HCPCS, "urn:who:icd10"]
