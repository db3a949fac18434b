"""One work item: where it comes from, what was tried, what may be meant; deciding it, for one chart or for all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData

from fhir_coder.errors import FhirCoderError, NotFoundError
from fhir_coder.model import ItemStatus
from fhir_coder.queries import message_story
from fhir_coder.screens_messages import visible
from fhir_coder.terminology.codesets.book import NOTE_TITLES, CodeBook, read_abbreviations
from fhir_coder.web.console.charts import steps_of, story_of
from fhir_coder.web.console.listing import read_time
from fhir_coder.web.console.pages import DONE, Form, command_line, page, page_router, see_other
from fhir_coder.web.console.sealed import seal, unseal
from fhir_coder.web.console.site import ConsoleSite, site_of
from fhir_coder.web.console.viewer import viewer_of
from fhir_coder.web.console.views import viewed
from fhir_coder.worklist import (
    Answer,
    Case,
    Preview,
    WhatIf,
    approve,
    ask_clinician,
    assign,
    close,
    decide,
    escalate,
    find_item,
    give_back,
    hold,
    open_case,
    preview,
    propose,
    reject,
    skip,
    take,
    take_answer,
    what_if,
)

DONE.update(
    decided="Decided. The visit is coded again within seconds.",
    proposed="The row is proposed: another person looks at it.",
    approved="Approved. The waiting visits are coded again, what is wanted first in front.",
    rejected="The proposed row was rejected: the item is offered again.",
    taken="It is yours now.",
    given_back="It was given back.",
    skipped="It was left to others.",
    laid_aside="It was laid aside.",
    asked_clinician="It waits for the clinician's answer.",
    answered="The answer is kept; the item is offered again.",
    escalated="It is done before all others now.",
    assigned="It was assigned.",
    closed="It was closed.",
)
_SEARCHED = 12


@dataclass(frozen=True, slots=True)
class Said:
    """What a form about an item says."""

    code: str = ""
    modifiers: str = ""
    pointers: str = ""
    why: str = ""
    source: str = ""
    chart: str = ""

    @classmethod
    def of(cls, form: FormData) -> Said:
        """The fields of a form, without the space around them."""
        said = {name: str(form.get(name, "")).strip() for name in cls.__slots__}
        return cls(**said | {"code": str(form.get("suggested", "")) or said["code"]})

    def answer(self, chart_key: str) -> Answer:
        """What the person answers."""
        return Answer(
            tuple(self.code.replace(",", " ").split()),
            self.why,
            tuple(self.modifiers.replace(",", " ").split()),
            tuple(self.pointers.replace(",", " ").split()),
            self.source,
            chart_key,
        )


def work_item_routes() -> APIRouter:
    """The page of a work item, and what is done there."""
    pages = page_router()
    pages.get("/worklist/{number}")(_item)
    pages.get("/worklist/{number}/what-if")(_what_if)
    pages.post("/worklist/{number}/preview")(_preview)
    pages.post("/worklist/{number}/{action}")(_act)
    return pages


def _item(request: Request, number: int, chart: str = "", code: str = "", q: str = "") -> Response:
    return _page(request, number, Said(code=code, chart=chart), q=q)


def _page(request: Request, number: int, said: Said, *, q: str = "", fault: str = "", tried: Any = None) -> Response:
    site = site_of(request)
    key = unseal(request, said.chart) if said.chart else ""
    item = find_item(site.ledger, number)
    if item.status is ItemStatus.CLOSED:
        return page(request, "console/work_closed.html", f"Work item {item.id}", item=item, command=_show(item.id))
    case = open_case(site.app.workplace, number, key)
    me = viewer_of(request).name
    story = story_of(site, case.part.chart_key) if case.part and case.part.chart_key else None
    if story:
        viewed(request, "chart", story.key, "in a work item")
    return page(
        request,
        "console/work_item.html",
        f"Work item {item.id}",
        status=400 if fault else 200,
        case=case,
        item=case.item,
        payload=_payload(request, case),
        story=story,
        steps=steps_of(story) if story else [],
        said=said,
        fault=fault,
        tried=tried,
        q=q,
        found=_search(site, case, q) if q else [],
        note_titles=NOTE_TITLES,
        me=me,
        is_mine=case.item.taken_by == me,
        is_free=not case.item.taken_by,
        may_approve=case.proposal is not None and case.proposal.by != me,
        chart=seal(request, case.part.chart_key) if case.part and case.part.chart_key else "",
        parts=[(seal(request, part.chart_key) if part.chart_key else "", part) for part in case.parts],
        command=_show(item.id),
        decide_command=command_line("work", "decide", item.id, said.code or "CODE"),
    )


def _payload(request: Request, case: Case) -> list[str]:
    """The payload of the message that an item is about, where no part of it is shown."""
    if case.source or not case.part or not case.part.message_id:
        return []
    story = message_story(site_of(request).ledger, case.part.message_id)
    viewed(request, "message", story.row.id, "in a work item")
    return visible(story.row.body)


def _show(number: int) -> str:
    return command_line("work", "show", number)


def _search(site: ConsoleSite, case: Case, words: str) -> list[Any]:
    """Codes by words or the beginning of a code, with their notes, as of the day of service."""
    on = case.question.context.service_date if case.question else None
    sets, folders = site.app.workplace.rulebook().code_sets, site.app.settings.codeset_folders()
    with CodeBook(sets, read_abbreviations(folders)) as book:
        day = on or date.today()
        hits = book.search(words, day, book.names(), _SEARCHED)
        return [(hit, next(iter(book.details(hit.code, day, [hit.set_name])), None)) for hit in hits]


# --- trying a decision


def _preview(request: Request, number: int, form: Form) -> Response:
    """The claims with a decision that is not made yet: the part of the page for a script, else the page."""
    said = Said.of(form)
    tried, fault = _tried(request, number, said)
    if request.headers.get("x-part"):
        return page(request, "console/work_preview.html", "Preview", tried=tried, fault=fault)
    return _page(request, number, said, fault=fault, tried=tried)


def _tried(request: Request, number: int, said: Said) -> tuple[Preview | None, str]:
    key = unseal(request, said.chart) if said.chart else ""
    try:
        answer = said.answer(key)
        return preview(site_of(request).app.workplace, number, answer, viewer_of(request).name), ""
    except FhirCoderError as error:
        return None, str(error)


def _what_if(request: Request, number: int, every: str = "") -> Response:
    """What approving the proposed row would change, and the buttons to approve or reject it."""
    found: WhatIf = what_if(site_of(request).app.workplace, number, all_charts=bool(every))
    me = viewer_of(request).name
    return page(
        request,
        "console/work_what_if.html",
        "A proposed row",
        number=number,
        found=found,
        every=bool(every),
        may_approve=found.proposal.by != me,
        seal=lambda key: seal(request, key),
        command=command_line("work", "approve", number, "--dry-run"),
    )


# --- doing it


def _act(request: Request, number: int, action: str, form: Form) -> Response:
    done = _ACTIONS.get(action)
    if done is None:
        raise NotFoundError("There is no such page.")
    said = Said.of(form)
    try:
        word, is_over = done(_Doing(request, number, form, said))
    except NotFoundError:
        raise
    except FhirCoderError as error:
        return _page(request, number, said, fault=str(error))
    site_of(request).wake()
    if is_over:
        return see_other(request, "/worklist", done=word)
    return see_other(request, f"/worklist/{number}", done=word, chart=said.chart if word != "decided" else "")


@dataclass(frozen=True, slots=True)
class _Doing:
    """Something a person does with an item: each answers what the next page says, and whether they are done with it."""

    request: Request
    number: int
    form: FormData
    said: Said

    @property
    def site(self) -> ConsoleSite:
        return site_of(self.request)

    @property
    def me(self) -> str:
        return viewer_of(self.request).name

    def text(self, name: str) -> str:
        return str(self.form.get(name, "")).strip()

    def decide(self) -> tuple[str, bool]:
        key = unseal(self.request, self.said.chart) if self.said.chart else ""
        done = decide(self.site.app.workplace, self.number, self.said.answer(key), self.me)
        return "decided", not done.charts_left

    def propose(self) -> tuple[str, bool]:
        propose(self.site.app.workplace, self.number, self.said.code, self.said.why, self.me)
        return "proposed", False

    def approve(self) -> tuple[str, bool]:
        approve(self.site.app.workplace, self.number, self.me, self.text("why"))
        return "approved", True

    def reject(self) -> tuple[str, bool]:
        reject(self.site.app.workplace, self.number, self.text("why"), self.me)
        return "rejected", False

    def take(self) -> tuple[str, bool]:
        take(self.site.ledger, self.number, self.me)
        return "taken", False

    def give_back(self) -> tuple[str, bool]:
        give_back(self.site.ledger, self.number, self.me)
        return "given_back", True

    def skip(self) -> tuple[str, bool]:
        skip(self.site.ledger, self.number, self.text("why"), self.me)
        return "skipped", True

    def hold(self) -> tuple[str, bool]:
        until = read_time(viewer_of(self.request).zone)(self.text("until"))
        hold(self.site.ledger, self.number, until, self.text("why"), self.me)
        return "laid_aside", True

    def query(self) -> tuple[str, bool]:
        ask_clinician(self.site.ledger, self.number, self.text("text"), self.me)
        return "asked_clinician", True

    def answer(self) -> tuple[str, bool]:
        take_answer(self.site.ledger, self.number, self.text("text"), self.me)
        return "answered", False

    def escalate(self) -> tuple[str, bool]:
        escalate(self.site.ledger, self.number, self.text("why"), self.me, self.text("to"))
        return "escalated", False

    def assign(self) -> tuple[str, bool]:
        assign(self.site.ledger, self.number, self.text("to"), self.me)
        return "assigned", False

    def close(self) -> tuple[str, bool]:
        close(self.site.ledger, self.number, self.text("why"), self.me)
        return "closed", True


_ACTIONS = {
    "decide": _Doing.decide,
    "propose": _Doing.propose,
    "approve": _Doing.approve,
    "reject": _Doing.reject,
    "take": _Doing.take,
    "give-back": _Doing.give_back,
    "skip": _Doing.skip,
    "hold": _Doing.hold,
    "query": _Doing.query,
    "answer": _Doing.answer,
    "escalate": _Doing.escalate,
    "assign": _Doing.assign,
    "close": _Doing.close,
}
