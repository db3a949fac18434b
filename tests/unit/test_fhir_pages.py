"""Pages of a search: resources cut out as sent, links, references, what a server can do."""

from __future__ import annotations

from datetime import UTC, date, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.errors import UnreadableError
from fhir_coder.intake.fhir_pages import (
    asked_from,
    read_capabilities,
    read_page,
    references_of,
    search_path,
)

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('abc é"\\', max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from("xyz"), _VALUES, max_size=3), max_size=4), st.booleans())
def test_each_resource_is_cut_out_byte_by_byte(resources: list[dict[str, object]], pretty: bool) -> None:
    """Whatever stands in a resource, its bytes are those of the page, and the page's own layout does not matter."""
    option = orjson.OPT_INDENT_2 if pretty else None
    sent = [orjson.dumps({"resourceType": "Encounter", **r}) for r in resources]
    entries = [{"search": {"mode": "match"}, "resource": orjson.Fragment(one), "fullUrl": "x"} for one in sent]
    page = read_page(orjson.dumps({"resourceType": "Bundle", "entry": entries}, option=option))

    assert [found.body for found in page.found] == sent


def test_digits_of_money_stay_as_they_were_written() -> None:
    body = b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"ChargeItem","x":336.50}}]}'

    assert read_page(body).found[0].body == b'{"resourceType":"ChargeItem","x":336.50}'


def test_a_page_that_two_readers_could_read_in_two_ways_is_not_read() -> None:
    body = b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"A"},"resource":{"resourceType":"B"}}]}'
    with pytest.raises(UnreadableError, match="two ways"):
        read_page(body)


def test_a_resource_that_cannot_be_used_does_not_keep_its_page_from_being_read() -> None:
    body = b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"A","x":"\\u0000"}},{"resource":{}}]}'

    assert len(read_page(body).found) == 2


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"resourceType":"OperationOutcome"}'])
def test_what_is_no_page_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_page(body)


def test_included_resources_and_outcomes_are_told_from_what_was_searched_for() -> None:
    body = orjson.dumps(
        {
            "resourceType": "Bundle",
            "link": [
                {"relation": "self", "url": "http://h/Encounter?_sort=_lastUpdated"},
                {"relation": "next", "url": "http://h/more"},
            ],
            "entry": [
                {"resource": {"resourceType": "Encounter", "id": "e"}},
                {"resource": {"resourceType": "Patient", "id": "p"}, "search": {"mode": "include"}},
                {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}},
                {"fullUrl": "no resource"},
            ],
        }
    )
    page = read_page(body)

    assert [(found.ref, found.is_match) for found in page.found] == [("Encounter/e", True), ("Patient/p", False)]
    assert (page.next_link, page.is_sorted) == ("http://h/more", True)


def test_references_lead_only_to_this_server_and_to_what_a_bill_needs() -> None:
    encounter = {
        "resourceType": "Encounter",
        "subject": {"reference": "Patient/p"},
        "participant": [
            {"individual": {"reference": "http://h/fhir/Practitioner/a/_history/2"}},
            {"individual": {"reference": "http://other/fhir/Practitioner/b"}},
            {"individual": {"reference": "RelatedPerson/r"}},
        ],
        "serviceProvider": {"reference": "#contained"},
        "location": [{"location": {"reference": "Location?identifier=x"}}, {"location": {"display": "x"}}],
        "basedOn": [{"reference": "ServiceRequest/s"}],
    }

    assert references_of(encounter, "http://h/fhir") == ["Patient/p", "Practitioner/a"]


def test_only_includes_the_server_lists_are_asked_for() -> None:
    statement = {
        "rest": [
            {
                "resource": [
                    {"type": "Encounter", "searchInclude": ["Encounter:patient", "*"], "searchParam": [{"name": "x"}]}
                ]
            }
        ]
    }
    can = read_capabilities(statement)

    assert can.includes_of("Encounter") == ["Encounter:patient"]
    assert can.serves("Encounter")
    assert not can.serves("ChargeItem")
    assert read_capabilities({}).serves("ChargeItem"), "a server that says nothing is asked"


def test_a_search_begins_before_the_watermark_but_never_before_the_feed_does() -> None:
    mark = datetime(2026, 3, 1, 0, 0, 30, tzinfo=UTC)

    assert asked_from(None, date(2026, 3, 1), 60) == datetime(2026, 3, 1, tzinfo=UTC)
    assert asked_from(mark, date(2026, 3, 1), 60) == datetime(2026, 3, 1, tzinfo=UTC)
    assert asked_from(mark, date(2026, 1, 1), 60) == datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC)
    assert search_path("Encounter", mark, 5, ["Encounter:patient"]) == (
        "Encounter?_lastUpdated=ge2026-03-01T00:00:30.000Z&_sort=_lastUpdated&_count=5&_include=Encounter:patient"
    )
