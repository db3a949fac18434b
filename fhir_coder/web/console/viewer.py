"""Who looks at a page, and how they like to see it: name, time zone, light or dark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from fastapi import Request

from fhir_coder.web.auth import actor_of
from fhir_coder.web.console.site import site_of

THEMES = ("auto", "light", "dark")
THEME_COOKIE, ZONE_COOKIE = "fc_theme", "fc_zone"


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person of a request. `csrf` is the token that each form of theirs must send back."""

    name: str
    zone: ZoneInfo
    theme: str
    csrf: str = ""

    def local(self, at: datetime) -> datetime:
        """A time in the viewer's zone."""
        return at.astimezone(self.zone)


def viewer_of(request: Request) -> Viewer:
    """Who asks for a page."""
    zone = _zone(request.cookies.get(ZONE_COOKIE, "")) or ZoneInfo(site_of(request).app.settings.site.time_zone)
    theme = request.cookies.get(THEME_COOKIE, "")
    csrf = str(getattr(request.state, "csrf", ""))
    return Viewer(actor_of(request), zone, theme if theme in THEMES else "auto", csrf)


@lru_cache(maxsize=1)
def zones() -> tuple[str, ...]:
    """The names of the time zones that a person can choose."""
    return tuple(sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")))


@lru_cache(maxsize=200)
def _zone(name: str) -> ZoneInfo | None:
    """A zone by the name a browser sent, None where it is none: the name is never a path that is opened."""
    if name not in available_timezones():
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None
