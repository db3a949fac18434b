"""What the pages work on: the adapter, and how its workers are told of new work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Request

from fhir_coder.app import App
from fhir_coder.store import Ledger
from fhir_coder.web.console.figures import Counted

Value = TypeVar("Value")
PREFIX = "/console"
"""The path under which every page is."""


@dataclass(frozen=True)
class ConsoleSite:
    """The adapter that the console shows. `wake` tells the workers that there is work; `is_over`: the service stops."""

    app: App
    wake: Callable[[], None]
    is_over: Callable[[], bool] = lambda: False
    _figures: dict[str, Counted[Any]] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        """The adapter's ledger."""
        return self.app.ledger

    def counted(self, name: str, count: Callable[[], Value], seconds: float, patience: float = 0.05) -> Value | None:
        """Figures by a name of their own, counted at most every so many seconds; None where they are not there yet."""
        kept: Counted[Value] = self._figures.setdefault(name, Counted(count, seconds))
        return kept.get(patience)


def site_of(request: Request) -> ConsoleSite:
    """The site of a request for a page (`create_app` keeps it)."""
    site: ConsoleSite = request.app.state.console
    return site
