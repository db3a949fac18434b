"""Reads a FHIR server by searches: what was changed since the watermark, page by page, with all that it refers to.

A page is on the disk before the place where the reading stands moves behind it: whoever kills the process, nothing is
missed, and what is read twice is recognised as a repeat.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from fhir_coder import fhir
from fhir_coder.errors import UnreadableError
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.fhir_client import FhirServer
from fhir_coder.intake.fhir_errors import FhirServerError
from fhir_coder.intake.fhir_pages import (
    Capabilities,
    Found,
    Page,
    asked_from,
    read_capabilities,
    read_page,
    reading_place,
    references_of,
    search_path,
)
from fhir_coder.intake.payloads import header_or_fault
from fhir_coder.logs import log
from fhir_coder.settings import FhirFeed
from fhir_coder.store import Ledger, pulls
from fhir_coder.store.messages import Incoming
from fhir_coder.store.pulls import SearchPlace

_REMEMBERED = 5000
"""Resources of one poll that are remembered, so that a patient's ten visits do not ask for the patient ten times."""
_NO_CAPABILITIES = Capabilities({}, {})


@dataclass(slots=True)
class Tally:
    """What a reading came to. `missing` references led to nothing we may read; `faults` are resources nobody can read.

    `is_more`: the poll ended at its limit, not at the end.
    """

    messages: int = 0
    repeats: int = 0
    missing: int = 0
    faults: int = 0
    is_more: bool = False


class FhirPull:
    """The searches of one feed. One thread calls `poll` again and again."""

    def __init__(self, feed: FhirFeed, server: FhirServer, ledger: Ledger, desk: IntakeDesk) -> None:
        self._feed, self._server, self._ledger, self._desk = feed, server, ledger, desk
        self._capabilities: Capabilities | None = None
        self._kept: OrderedDict[bytes, None] = OrderedDict()

    def poll(self) -> Tally:
        """Read what is new of every type, up to the feed's limit of pages each.

        Raises FhirServerError after all types that could be read were read, StoppedError.
        """
        try:
            return self._poll(Tally())
        except FhirServerError:
            self._capabilities = None  # what it can do may be another thing when it is back
            raise

    def _poll(self, tally: Tally) -> Tally:
        capabilities = self._known_capabilities()
        resources = _Resources(self._feed, self._server, capabilities, tally)
        refused: list[FhirServerError] = []
        for resource_type in sorted(self._feed.types, key=reading_place):
            if not capabilities.serves(resource_type):
                continue
            try:
                self._read_type(resource_type, resources, tally)
            except FhirServerError as error:
                if not error.is_refusal:
                    raise
                refused.append(error)  # a scope we were not given says nothing of the other types
        if refused:
            raise refused[0]
        return tally

    def _known_capabilities(self) -> Capabilities:
        if self._capabilities is None:
            self._capabilities = self._ask_capabilities()
            for resource_type in self._feed.types:
                if not self._capabilities.serves(resource_type):
                    log.info("type_not_served", feed=self._feed.name, kind=resource_type)
        return self._capabilities

    def _ask_capabilities(self) -> Capabilities:
        try:
            return read_capabilities(fhir.load(self._server.get("metadata").body))
        except UnreadableError:
            return _NO_CAPABILITIES
        except FhirServerError as error:
            if not error.is_refusal:
                raise
            return _NO_CAPABILITIES  # a server that does not say what it can do is asked for the plainest

    # --- one type

    def _read_type(self, resource_type: str, resources: _Resources, tally: Tally) -> None:
        with self._ledger.reading() as connection:
            place = pulls.search_place(connection, self._feed.name, resource_type)
        place, page = self._first_page(place, resources.capabilities)
        reached, number = place.watermark, 1
        while True:
            self._keep(resources.of_page(page), tally)
            place, reached = _moved(place, page, reached)
            with self._ledger.writing() as connection:
                pulls.save(connection, place)
            if not place.next_link:
                return
            if number >= self._feed.pages_per_poll:
                tally.is_more = True
                return
            page, number = page_of(self._server.get(place.next_link).body), number + 1

    def _first_page(self, place: SearchPlace, capabilities: Capabilities) -> tuple[SearchPlace, Page]:
        """The page to go on at; a link the server forgot begins the search anew, from the watermark."""
        if place.next_link:
            try:
                return place, page_of(self._server.get(place.next_link).body)
            except FhirServerError as error:
                if not error.is_refusal:
                    raise
                log.info("search_begun_anew", feed=self._feed.name, kind=place.type, http_status=error.http_status)
        begin = asked_from(place.watermark, self._feed.since, self._feed.overlap_seconds)
        asked = search_path(place.type, begin, self._feed.count, capabilities.includes_of(place.type))
        return replace(place, next_link=""), page_of(self._server.get(asked).body)

    def _keep(self, bodies: Iterable[bytes], tally: Tally) -> None:
        """Keep what is new; what the overlap brings again and again is known without asking the ledger."""
        digests = {hashlib.sha256(body).digest(): body for body in bodies}
        new = [digest for digest in digests if digest not in self._kept]
        keep(self._desk, [incoming_of(self._feed, digests[digest]) for digest in new], tally)
        tally.messages += len(digests) - len(new)
        tally.repeats += len(digests) - len(new)
        self._kept |= dict.fromkeys(new)
        while len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)


def _moved(place: SearchPlace, page: Page, reached: datetime | None) -> tuple[SearchPlace, datetime | None]:
    """The place behind a page, and the latest change seen.

    Only where the server says that it sorts, and does, is all before a page's last change known before the end.
    """
    changes = [f.last_updated for f in page.found if f.is_match and f.type == place.type]
    known = [at for at in changes if at]
    latest = max([*known, *([reached] if reached else [])], default=None)
    is_in_order = page.is_sorted and len(known) == len(changes) and known == sorted(known)
    if known and place.next_link and reached and known[0] < reached:
        is_in_order = False
    watermark = latest if is_in_order or not page.next_link else place.watermark
    return replace(place, watermark=watermark, next_link=page.next_link), latest


def page_of(body: bytes) -> Page:
    """The page in an answer. Raises FhirServerError (`not_a_page`)."""
    try:
        return read_page(body)
    except UnreadableError:
        raise FhirServerError("not_a_page") from None


def incoming_of(feed: FhirFeed, body: bytes) -> Incoming:
    """A resource as the desk takes it."""
    header, fault = header_or_fault(body)
    return Incoming(feed.name, header, body, fault)


def keep(desk: IntakeDesk, incoming: list[Incoming], tally: Tally) -> None:
    """Hand resources in together and wait until they are on the disk."""
    if not incoming:
        return
    tally.repeats += sum(one.repeat for one in desk.keep_together(incoming).result())
    tally.messages += len(incoming)
    tally.faults += sum(bool(one.fault) for one in incoming)


class _Resources:
    """The resources of one poll: those of its pages, and those they refer to, read one by one where none came along."""

    def __init__(self, feed: FhirFeed, server: FhirServer, capabilities: Capabilities, tally: Tally) -> None:
        self.capabilities = capabilities
        self._feed, self._server, self._tally = feed, server, tally
        self._known: OrderedDict[str, Found | None] = OrderedDict()
        can = capabilities.can_search
        self._by_patient = next((name for name in ("beneficiary", "patient") if can("Coverage", name)), "")

    def of_page(self, page: Page) -> list[bytes]:
        """What is to be kept of a page: its resources and all they refer to that was not kept in this poll."""
        fresh = [found for found in page.found if not self._is_known(found)]
        for found in fresh:
            self._remember(found.ref, found)
        reached, waiting = list(fresh), list(fresh)
        while waiting:
            new = list(self._led_to(waiting.pop()))
            reached += new
            waiting += new
        return [found.body for found in reached]

    def _is_known(self, found: Found) -> bool:
        known = self._known.get(found.ref)
        return known is not None and known.body == found.body

    def _led_to(self, found: Found) -> Iterator[Found]:
        """What a resource leads to and was not known yet."""
        for ref in references_of(found.json, self._server.base):
            if ref not in self._known and (other := self._read(ref)):
                yield other
        if found.type == "Patient" and self._by_patient:
            yield from self._coverages_of(found.ref)

    def _read(self, ref: str) -> Found | None:
        """A resource by its reference, None where there is none for us; that is noted once a poll."""
        found = None
        try:
            body = self._server.get(ref).body
            found = Found(body, fhir.load(body))
        except UnreadableError:
            self._note_missing(ref, None)
        except FhirServerError as error:
            if not error.is_refusal:
                raise
            self._note_missing(ref, error.http_status)
        self._remember(ref, found)
        return found

    def _note_missing(self, ref: str, status: int | None) -> None:
        self._tally.missing += 1
        log.warning("reference_not_read", feed=self._feed.name, kind=ref.partition("/")[0], http_status=status)

    def _coverages_of(self, patient: str) -> Iterator[Found]:
        """The coverages of a patient: nothing need refer to them."""
        asked = f"Coverage?{self._by_patient}={patient}"
        if not patient or asked in self._known:
            return
        self._remember(asked, None)
        link = asked
        while link:
            try:
                page = page_of(self._server.get(link).body)
            except FhirServerError as error:
                if not error.is_refusal:
                    raise
                self._note_missing("Coverage", error.http_status)
                self._by_patient = ""  # not searchable so, or not for us: it is not asked for again in this poll
                return
            for found in page.found:
                if found.ref not in self._known:
                    self._remember(found.ref, found)
                    yield found
            link = page.next_link

    def _remember(self, ref: str, found: Found | None) -> None:
        if ref:
            self._known[ref] = found
            self._known.move_to_end(ref)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
