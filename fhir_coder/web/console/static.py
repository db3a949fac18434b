"""The style sheet, scripts and pictures of the console. Their addresses hold their content's hash: kept for a year."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Response

from fhir_coder.web.console.site import PREFIX
from fhir_coder.web.refusal import RefusalError

_FOLDER = Path(__file__).parent.parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def static_routes() -> APIRouter:
    """What pages load, open to everybody: nothing of it is about a person."""
    routes = APIRouter()

    @routes.get(f"{PREFIX}/static/{{version}}/{{name}}")
    def static(version: str, name: str) -> Response:
        if name not in _names() or version != _version(name):
            raise RefusalError(404, "not-found", "no such file")
        kind = _TYPES[Path(name).suffix]
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response((_FOLDER / name).read_bytes(), media_type=kind, headers=kept)

    return routes


def static_path(name: str) -> str:
    """The path of a file of `web/static`."""
    return f"{PREFIX}/static/{_version(name)}/{name}"


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(file.name for file in _FOLDER.iterdir() if file.suffix in _TYPES)


@lru_cache(maxsize=50)
def _version(name: str) -> str:
    return hashlib.sha256((_FOLDER / name).read_bytes()).hexdigest()[:12]
