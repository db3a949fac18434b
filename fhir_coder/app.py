"""The composition root and the Python API: settings in, the rooms put together."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import date, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from types import TracebackType

from fhir_coder import fhir, hl7v2
from fhir_coder.conformance_check import feed_check
from fhir_coder.conversion import Conversion, Source, convert_sources
from fhir_coder.feed_hooks import load_hooks
from fhir_coder.payers import ClientOptions, PayerClient
from fhir_coder.payers.decide import RetryPolicy
from fhir_coder.pipeline import Rulebook
from fhir_coder.settings import Feed, PayerSettings, Settings, SiteSettings, example_settings, load_settings
from fhir_coder.stages import PayerLine, Stages, TryLog
from fhir_coder.store import Ledger, open_ledger
from fhir_coder.store.inbox import file_inbox
from fhir_coder.terminology import Tables, load_tables, open_codesets

V2_TABLES = (
    "v2-sex",
    "v2-class",
    "v2-relationship",
    "v2-identifier-type",
    "v2-admission-type",
    "v2-discharge-disposition",
)
"""The concept tables that translate HL7 v2 table codes to those of FHIR and of the bill."""


class App:
    """An adapter with its settings. Opens what is asked for, when it is asked for; use it as a context manager.

    Raises SettingsError or TableError with every fault listed.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or example_settings()
        self._open = ExitStack()

    @classmethod
    def from_file(cls, path: Path | str | None = None) -> App:
        """An adapter by a settings file; by default the `fhir-coder.toml` of this folder, else the example site."""
        return cls(load_settings(Path(path) if path else None))

    def __enter__(self) -> App:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened."""
        self._open.close()

    @cached_property
    def tables(self) -> Tables:
        """The mapping tables, site over shipped."""
        return load_tables(self.settings.table_folders(), when_unknown=self.settings.tables.when_unknown)

    @cached_property
    def rulebook(self) -> Rulebook:
        """Everything the site decides, ready for the pipeline."""
        settings, site = self.settings, self.settings.site
        code_sets = self._open.enter_context(open_codesets(*settings.codeset_folders()))
        concepts = {name: self.tables.concept(name) for name in V2_TABLES}
        v2 = hl7v2.FeedRules(time_zone=site.time_zone, currency=site.currency, concepts=concepts)
        checks = {f.name: feed_check(f.rules.conformance == "reject") for f in settings.feeds if _is_checked(f)}
        return Rulebook(
            site=site.value(),
            payers=tuple(p.value() for p in settings.payers),
            billing=settings.billing.value(),
            tables=self.tables,
            code_sets=code_sets,
            hl7v2_rules=v2,
            fhir_rules=fhir.FhirRules(time_zone=site.time_zone, currency=site.currency),
            hl7v2_by_feed={f.name: _v2_rules(f, v2) for f in settings.feeds},
            fhir_by_feed={f.name: _fhir_rules(f, site) for f in settings.feeds},
            hooks=load_hooks(settings.feeds),
            checks=checks,
        )

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, made where it is not there yet. What a service that died had acknowledged is filed first."""
        ledger = open_ledger(self.settings.store_path())
        self._open.callback(ledger.close)
        file_inbox(ledger)
        return ledger

    @cached_property
    def stages(self) -> Stages:
        """The stages against the ledger."""
        lines = {p.name: payer_line(p) for p in self.settings.payers}
        return Stages(self.ledger, self.rulebook, lines, timedelta(seconds=self.settings.worker.quiet_seconds))

    def convert(self, sources: Iterable[Source | Path | str | bytes], created: date | None = None) -> Conversion:
        """Convert files or bytes to coded claims in memory: no ledger, no network.

        Payloads of one visit make one claim. What cannot be read is listed, the rest is converted.
        """
        return convert_sources(map(as_source, sources, count(1)), self.rulebook, created or date.today())


def convert(sources: Iterable[Source | Path | str | bytes], settings: Settings | None = None) -> Conversion:
    """Convert files or bytes to coded claims with settings, by default those of the example site."""
    with App(settings) as app:
        return app.convert(sources)


def as_source(source: Source | Path | str | bytes, place: int = 1) -> Source:
    """A source from a path, bytes or itself. Bytes are named by their place, from the second one on."""
    if isinstance(source, Source):
        return source
    if isinstance(source, bytes):
        return Source(f"bytes-{place}" if place > 1 else "bytes", source)
    return Source(str(source), Path(source).read_bytes())


def payer_line(payer: PayerSettings) -> PayerLine:
    """A payer's client and retry policy."""
    tries = TryLog()
    client = PayerClient(
        payer.url,
        profile=payer.profile,
        submit=payer.submit,
        token=payer.token(),
        timeout=(payer.connect_timeout, payer.read_timeout),
        options=ClientOptions(on_attempt=tries.note),
    )
    policy = RetryPolicy(payer.retry_base, payer.retry_cap, payer.max_tries, payer.poll_base)
    return PayerLine(client, policy, tries)


def _v2_rules(feed: Feed, base: hl7v2.FeedRules) -> hl7v2.FeedRules:
    return feed.rules.value(base, feed.charset, feed.namespace)


def _fhir_rules(feed: Feed, site: SiteSettings) -> fhir.FhirRules:
    return fhir.FhirRules(feed.namespace, feed.rules.time_zone or site.time_zone, site.currency)


def _is_checked(feed: Feed) -> bool:
    return feed.rules.conformance != "off"
