"""The terminology of the service over HTTP: FHIR operations on the tables and code sets it codes by (R4 and R5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from fhir_coder.claims import to_bytes
from fhir_coder.errors import FhirCoderError
from fhir_coder.logs import error_name, error_place, log
from fhir_coder.model import Json
from fhir_coder.web.body import read_body
from fhir_coder.web.fhir_conditions import check_accept
from fhir_coder.web.refusal import FHIR_JSON, RefusalError
from fhir_coder.web.terminology_codes import LOOKUP, VALIDATE, Counter, looked_up, validated
from fhir_coder.web.terminology_maps import READ, SEARCH, Shelf, search_set, version_id
from fhir_coder.web.terminology_openapi import openapi
from fhir_coder.web.terminology_parameters import Given, Parameter, given_in_body, given_in_query
from fhir_coder.web.terminology_service import Terminology
from fhir_coder.web.terminology_translate import Asking, translate_parameters, translated

T = TypeVar("T")

_JSON_TYPES = frozenset({FHIR_JSON, "application/json", "text/json"})
_FORM = frozenset({"application/x-www-form-urlencoded"})
_LONGEST_BODY = 1 << 20
_READ = ["GET", "HEAD"]
_VERSION = re.compile(r"fhirVersion\s*=\s*\"?([\w.]+)", re.IGNORECASE)
_VERSIONS: Mapping[str, str] = {"4.0": "4.0.1", "4.3": "4.0.1", "5.0": "5.0.0"}
"""The FHIR versions that may be asked for; what is shown here is the same in R4 and R4B."""

R5 = "5.0.0"


def fhir_version(request: Request) -> str:
    """The FHIR version of the answer: what `Accept` or `_format` names, else the body's. Raises RefusalError (406)."""
    check_accept(request)
    wanted = request.query_params.get("_format", "") + request.headers.get("accept", "")
    found = _VERSION.search(wanted) or _VERSION.search(request.headers.get("content-type", ""))
    if found is None:
        return _VERSIONS["4.0"]
    version = _VERSIONS.get(".".join(found[1].split(".")[:2]))
    if version is None:
        raise RefusalError(406, "not-supported", f"fhirVersion is one of {', '.join(_VERSIONS)}")
    return version


def fhir_answer(resource: Json, version: str, headers: Mapping[str, str] | None = None) -> Response:
    """A resource as answer, its FHIR version in the content type where it is not R4."""
    kind = f"{FHIR_JSON}; fhirVersion=5.0" if version == R5 else FHIR_JSON
    return Response(to_bytes(resource), media_type=kind, headers=dict(headers or {}))


def terminology_routes(terminology: Terminology) -> APIRouter:
    """The operations, the reads and the search of tables and code sets."""
    routes = APIRouter()
    for path in _OPERATIONS:
        of_a_resource = ["PUT", "PATCH", "DELETE", *(_READ if path == _SEARCH_BY_FORM else [])]
        routes.add_api_route(f"/fhir/{path}", _refused, methods=of_a_resource)
    _translate_routes(routes, terminology)
    for name, takes, answer in (("$lookup", LOOKUP, looked_up), ("$validate-code", VALIDATE, validated)):
        _code_route(routes, terminology, f"/fhir/CodeSystem/{name}", takes, answer)
    _map_routes(routes, terminology)
    return routes


_SEARCH_BY_FORM = "ConceptMap/_search"
_OPERATIONS = (
    "ConceptMap/$translate",
    "ConceptMap/{resource_id}/$translate",
    _SEARCH_BY_FORM,
    "CodeSystem/$lookup",
    "CodeSystem/$validate-code",
)
"""Addresses that are no resource's, though they look like one to who takes PUT and DELETE."""


async def _refused(request: Request) -> Response:
    raise not_done_here(methods_at(request.url.path.partition("/fhir/")[2]))


def not_done_here(allowed: Sequence[str]) -> RefusalError:
    """What else may be asked at an address, as 405."""
    text = "this is not done here: see the CapabilityStatement at metadata"
    return RefusalError(405, "not-supported", text, {"Allow": ", ".join(dict.fromkeys(allowed))})


def methods_at(rest: str) -> list[str]:
    """The methods that may be asked at an address below /fhir; none where nothing is there."""
    match rest.split("/"):
        case ["ConceptMap"] | ["ConceptMap", _] if not rest.endswith(("$translate", "_search")):
            return _READ
        case ["ConceptMap", "_search"]:
            return ["POST"]
        case ["ConceptMap", "$translate"] | ["ConceptMap", _, "$translate"]:
            return [*_READ, "POST"]
        case ["CodeSystem", "$lookup" | "$validate-code"]:
            return [*_READ, "POST"]
        case _:
            return []


def openapi_route() -> APIRouter:
    """`GET /openapi.json`, which is open to everybody: it shows nothing that was sent."""
    routes = APIRouter()
    said = to_bytes(openapi())

    @routes.get("/openapi.json")
    async def document() -> Response:
        return Response(said, media_type="application/json")

    return routes


def _translate_routes(routes: APIRouter, terminology: Terminology) -> None:
    takes = translate_parameters()

    async def translate(request: Request, resource_id: str = "") -> Response:
        version = fhir_version(request)
        given = await _given(request, takes)

        def answer() -> Json:
            tables = terminology.tables()
            table_id = Shelf(tables).found(resource_id).id if resource_id else ""
            asking = Asking(tables, terminology.title, date.today(), version == R5, terminology.names)
            return translated(asking, given, table_id)

        return fhir_answer(await asked(terminology, answer), version)

    async def translate_by(request: Request, resource_id: str) -> Response:
        return await translate(request, resource_id)

    async def translate_all(request: Request) -> Response:
        return await translate(request)

    routes.add_api_route("/fhir/ConceptMap/$translate", translate_all, methods=[*_READ, "POST"])
    routes.add_api_route("/fhir/ConceptMap/{resource_id}/$translate", translate_by, methods=[*_READ, "POST"])


def _code_route(
    routes: APIRouter,
    terminology: Terminology,
    path: str,
    takes: Sequence[Parameter],
    answer: Callable[[Counter, Given], Json],
) -> None:
    async def operation(request: Request) -> Response:
        version = fhir_version(request)
        given = await _given(request, takes)

        def answered() -> Json:
            return answer(Counter(terminology.book(), date.today(), terminology.with_licensed), given)

        return fhir_answer(await asked(terminology, answered), version)

    routes.add_api_route(path, operation, methods=[*_READ, "POST"])


def _map_routes(routes: APIRouter, terminology: Terminology) -> None:
    async def search(request: Request) -> Response:
        version = fhir_version(request)
        pairs = list(request.query_params.multi_items())
        if request.method == "POST":
            body = await read_body(request, _FORM, _LONGEST_BODY)
            pairs += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        given = given_in_query(_kept(request, pairs), SEARCH)
        address = f"{request.base_url}fhir/ConceptMap"
        bundle = await asked(terminology, lambda: search_set(_shelf(terminology, version), given, address))
        return fhir_answer(bundle, version)

    @routes.api_route("/fhir/ConceptMap/{resource_id}", methods=_READ)
    async def read(request: Request, resource_id: str) -> Response:
        version = fhir_version(request)
        given = given_in_query(request.query_params.multi_items(), READ)

        def answer() -> tuple[str, Json]:
            shelf = _shelf(terminology, version)
            table = shelf.found(resource_id)
            return version_id(table), shelf.resource(table, not given.is_true("_summary"))

        content, resource = await asked(terminology, answer)
        return fhir_answer(resource, version, {"ETag": f'W/"{content}"'})

    routes.add_api_route("/fhir/ConceptMap", search, methods=_READ)
    routes.add_api_route("/fhir/ConceptMap/_search", search, methods=["POST"])


def _shelf(terminology: Terminology, version: str) -> Shelf:
    return Shelf(terminology.tables(), terminology.with_licensed, version == R5)


async def _given(request: Request, takes: Sequence[Parameter]) -> Given:
    pairs = request.query_params.multi_items()
    if request.method != "POST":
        return given_in_query(pairs, takes)
    given_in_query(pairs, ())  # an address that says something beside the body is refused
    return given_in_body(await read_body(request, _JSON_TYPES, _LONGEST_BODY), takes)


def _kept(request: Request, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The search parameters; those not known are left out where the sender is lenient about it (R4 3.1.1.1.2)."""
    if "handling=lenient" not in request.headers.get("prefer", ""):
        return pairs
    names = {parameter.name for parameter in SEARCH}
    return [(name, text) for name, text in pairs if name in names]


async def asked(terminology: Terminology, question: Callable[[], T]) -> T:
    """Answer a question in the terminology's thread. Raises RefusalError (503) where it cannot be read."""
    try:
        return await terminology.ask(question)
    except FhirCoderError as error:
        log.error("terminology_not_read", error=error_name(error), where=error_place(error))
        text = "the tables or code sets cannot be read: fhir-coder tables check says why"
        raise RefusalError(503, "exception", text) from None
