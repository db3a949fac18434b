"""Messages: search, one message raw and parsed with what became of it, read again, corrected."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from fhir_coder import fhir, hl7v2
from fhir_coder.errors import FhirCoderError, UnreadableError
from fhir_coder.model import MessageFormat, MessageStatus
from fhir_coder.queries import MessageSearch, MessageStory, list_messages, message_story
from fhir_coder.reprocess import correct, preview, reprocess
from fhir_coder.screens_messages import one_line, tree_rows, visible
from fhir_coder.store.corrections import record_viewing
from fhir_coder.web.console.editing import as_bytes, as_text
from fhir_coder.web.console.listing import PAGE, Field, Filters, Listing, read_time
from fhir_coder.web.console.pages import DONE, command_line, page, page_router, see_other
from fhir_coder.web.console.pages import Form as PageForm
from fhir_coder.web.console.sealed import seal, unseal
from fhir_coder.web.console.site import site_of
from fhir_coder.web.console.viewer import viewer_of

VIEWS = (("raw", "As received"), ("parsed", "Parsed, with field names"))

DONE.update(
    asked="The message is read again within seconds.",
    unreadable="The message is still unreadable: nothing was asked for.",
    conflict="The message was left: its control id was used before.",
    superseded="The message was left: its correction is read instead.",
    corrected="The correction was filed: it takes the message's place once it is read.",
)


def messages_routes() -> APIRouter:
    """The pages of messages."""
    pages = page_router()
    pages.get("/messages")(_messages)
    pages.post("/messages/find")(_find)
    pages.get("/messages/{name}")(_message)
    pages.get("/messages/{name}/reprocess")(_reprocess_preview)
    pages.post("/messages/{name}/reprocess")(_reprocess)
    pages.get("/messages/{name}/edit")(_edit)
    pages.post("/messages/{name}/edit")(_correct)
    return pages


def _messages(request: Request) -> Response:
    asked = _filters(request)
    key = asked.text
    search = MessageSearch(
        control_id=key("control_id"),
        type=key("type"),
        feed=key("feed"),
        status=key("status"),
        since=asked["since"],
        until=asked["until"],
        chart=key("chart"),
        patient=key("patient"),
        before=request.query_params.get("before", ""),
    )
    rows = [] if asked.faults else list_messages(site_of(request).ledger, search, PAGE + 1)
    listing = Listing.of(request, rows, lambda row: row.id)
    return page(
        request,
        "console/messages.html",
        "Messages",
        asked=asked,
        listing=listing,
        command=command_line("messages", "list", *asked.options()),
    )


def _filters(request: Request) -> Filters:
    feeds = [(feed.name, feed.name) for feed in site_of(request).app.settings.feeds]
    time = read_time(viewer_of(request).zone)
    opened = partial(unseal, request)
    return Filters(
        request,
        "/messages",
        Field("status", "Status", [(s.value, s.value) for s in MessageStatus]),
        Field("feed", "Feed", feeds),
        Field("type", "Type", hint="DFT^P03, Bundle"),
        Field("control_id", "Control id", hint="MSH-10, exactly"),
        Field("since", "Since", hint="2h, 3d, 2026-11-03", read=time),
        Field("until", "Until", hint="2026-11-03T18:00", read=time),
        Field("patient", "Patient", hint="record number, Patient/1", read=opened, is_secret=True),
        Field("chart", "Chart", hint="chart key", read=opened, is_secret=True),
    )


def _find(request: Request, form: PageForm) -> Response:
    """Search by what names a person: it goes into the URL sealed."""
    said = {name: str(text).strip() for name, text in form.items() if isinstance(text, str) and name != "csrf"}
    asked = _filters(request)
    query = {field.name: said.get(field.name, "") for field in asked.fields}
    for field in asked.fields:
        is_typed = field.is_secret and query[field.name] and said.get("typed") == field.name
        query[field.name] = seal(request, query[field.name]) if is_typed else query[field.name]
    return see_other(request, "/messages", **query)


def _message(request: Request, name: str, view: str = "raw") -> Response:
    ledger = site_of(request).ledger
    story = message_story(ledger, name)
    view = view if view in dict(VIEWS) else "raw"
    parsed, fault = _parsed(request, story) if view == "parsed" else ([], "")
    if not fault:
        record_viewing(ledger, story.row.id, view, viewer_of(request).name)
    charts = [(topic, seal(request, topic)) for topic in story.topics]
    return page(
        request,
        "console/message.html",
        "Message",
        story=story,
        row=story.row,
        view=view,
        views=VIEWS,
        lines=visible(story.row.body) if view == "raw" else [],
        parsed=parsed,
        fault=fault,
        charts=charts,
        command=command_line("messages", "show", story.row.id, "--parsed" if view == "parsed" else ""),
    )


def _parsed(request: Request, story: MessageStory) -> tuple[list[dict[str, Any]], str]:
    """Each segment or resource with its parts as rows of depth, path, name and value; else why there are none."""
    row = story.row
    feeds = site_of(request).app.settings.feeds
    charset = next((feed.charset for feed in feeds if feed.name == row.feed), "utf-8")
    try:
        if row.format == MessageFormat.FHIR:
            resource = fhir.load(row.body)
            return [{"title": str(resource["resourceType"]), "rows": list(tree_rows(resource))}], ""
        return _segments(hl7v2.read_message(row.body, charset, "replace")), ""
    except UnreadableError as error:
        return [], str(error)


def _segments(message: hl7v2.Er7Message) -> list[dict[str, Any]]:
    from fhir_coder.hl7v2.fieldnames import message_parts  # noqa: PLC0415 - the standard's structures: only when asked

    return [
        {
            "title": one_line(segment.path),
            "rows": [(part.depth, one_line(part.path), part.name, one_line(part.value)) for part in parts],
        }
        for segment, parts in message_parts(message)
    ]


def _reprocess_preview(request: Request, name: str, accept: str = "") -> Response:
    site = site_of(request)
    row = message_story(site.ledger, name).row
    would = preview(site.ledger, [row], site.app.rulebook, bool(accept))[0]
    command = command_line("messages", "reprocess", row.id, "--accept-conflict" if accept else "")
    return page(
        request,
        "console/message_reprocess.html",
        "Read the message again",
        row=row,
        would=would,
        accept=bool(accept),
        is_conflict=row.status == MessageStatus.CONFLICT,
        command=command,
    )


def _reprocess(request: Request, name: str, accept: Annotated[str, Form()] = "") -> Response:
    site = site_of(request)
    row = message_story(site.ledger, name).row
    done = reprocess(site.ledger, [row], viewer_of(request).name, bool(accept))
    site.wake()
    return see_other(request, f"/messages/{row.id}", done=next(iter(done)))


def _edit(request: Request, name: str) -> Response:
    site = site_of(request)
    row = message_story(site.ledger, name).row
    text, codec = as_text(row.body)
    record_viewing(site.ledger, row.id, "to edit it", viewer_of(request).name)
    return _edit_page(request, row, text, codec)


def _correct(
    request: Request, name: str, text: Annotated[str, Form()] = "", codec: Annotated[str, Form()] = "utf-8"
) -> Response:
    site = site_of(request)
    row = message_story(site.ledger, name).row
    try:
        body = as_bytes(text, codec, like=row.body)
        filed = correct(site.ledger, row.id, body, viewer_of(request).name)
    except FhirCoderError as error:
        return _edit_page(request, row, text, codec, str(error))
    site.wake()
    return see_other(request, f"/messages/{filed}", done="corrected")


def _edit_page(request: Request, row: Any, text: str, codec: str, fault: str = "") -> Response:
    return page(
        request,
        "console/message_edit.html",
        "Correct the message",
        status=400 if fault else 200,
        row=row,
        text=text,
        codec=codec,
        fault=fault,
        command=command_line("messages", "edit", row.id),
    )
