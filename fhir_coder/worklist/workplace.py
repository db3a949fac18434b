"""What deciding needs besides the ledger: the settings, the site's tables as they are now, and charts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fhir_coder.errors import FhirCoderError
from fhir_coder.filing import as_decided
from fhir_coder.model import Chart
from fhir_coder.pipeline import Rulebook
from fhir_coder.settings import Settings
from fhir_coder.shipped import shipped
from fhir_coder.store import Ledger, messages


@dataclass(frozen=True, slots=True)
class Workplace:
    """A ledger with the rules of its site. `rulebook` gives those of now, `fold` a chart of its stored messages."""

    ledger: Ledger
    settings: Settings
    rulebook: Callable[[], Rulebook]
    fold: Callable[[str], Chart]

    def chart(self, key: str) -> tuple[Chart, tuple[str, ...]]:
        """A chart with what people decided about it, and the feeds its messages came by."""
        chart = self.fold(key)
        with self.ledger.reading() as connection:
            return as_decided(connection, chart), messages.feeds_of(connection, chart.messages)

    def site_folder(self) -> Path:
        """The folder of the site's own tables. Raises FhirCoderError where there is none that may be written."""
        folder = self.settings.tables.dir
        if folder is None:
            raise FhirCoderError("the settings name no folder for the site's tables: set [tables] dir")
        if folder.resolve().is_relative_to(shipped("mappings").resolve()):
            raise FhirCoderError(
                "the example site's tables are part of the program: fhir-coder init makes a site, then -c"
            )
        return folder
