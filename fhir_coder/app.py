"""The composition root and the Python API: settings in, the rooms put together."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from threading import Lock
from types import TracebackType

from fhir_coder import fhir, hl7v2
from fhir_coder.conformance_check import feed_check
from fhir_coder.conversion import Conversion, Source, convert_sources
from fhir_coder.delivery import Delivery, PayerLine, TryLog
from fhir_coder.denials import CheckedAgain
from fhir_coder.feed_hooks import load_hooks
from fhir_coder.model import Chart, Validity
from fhir_coder.payers import ClientOptions, PayerClient, profile_of
from fhir_coder.payers.breaker import BreakerPolicy
from fhir_coder.payers.decide import RetryPolicy
from fhir_coder.pipeline import FeedCheck, Rulebook
from fhir_coder.settings import Feed, PayerSettings, Settings, SiteSettings, example_settings, load_settings
from fhir_coder.stages import PayerStages, Stages
from fhir_coder.store import Ledger, open_ledger
from fhir_coder.store.inbox import file_inbox
from fhir_coder.terminology import CodeSets, Tables, load_tables, open_codesets
from fhir_coder.terminology.history import read_history
from fhir_coder.worklist import Workplace, keep_order

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
        return self.load_tables()

    def load_tables(self) -> Tables:
        """Read the mapping tables as they are now. Raises TableError."""
        folders, said = self.settings.table_folders(), self.settings.tables
        return load_tables(folders, None, said.when_unknown, self._validity, said.replace_ended_codes)

    def _validity(self, system: str, code: str, on: date) -> Validity:
        """What the code sets say; they are opened by the first answer: lists of tables do without."""
        return self.code_sets.validity(system, code, on)

    @cached_property
    def code_sets(self) -> CodeSets:
        """The code sets, site over shipped."""
        return self._open.enter_context(open_codesets(*self.settings.codeset_folders()))

    def read_tables_again(self) -> None:
        """Read the tables again, for all that is asked from now on. Raises TableError: then nothing has changed."""
        tables = self.load_tables()
        v2 = self._v2_base(tables)
        by_feed = {f.name: _v2_rules(f, v2) for f in self.settings.feeds}
        rulebook = replace(self.rulebook, tables=tables, hl7v2_rules=v2, hl7v2_by_feed=by_feed)
        # Who works with the stages of before goes on with them: they keep their rulebook and what they read by it.
        self.stages = self.stages.with_rulebook(rulebook)
        self.tables, self.rulebook = tables, rulebook

    @cached_property
    def rulebook(self) -> Rulebook:
        """Everything the site decides, ready for the pipeline."""
        settings, site = self.settings, self.settings.site
        v2 = self._v2_base(self.tables)
        checks = {f.name: _check_of(f) for f in settings.feeds if f.rules.conformance != "off"}
        return Rulebook(
            site=site.value(),
            payers=tuple(p.value() for p in settings.payers),
            billing=settings.billing.value(),
            tables=self.tables,
            code_sets=self.code_sets,
            hl7v2_rules=v2,
            fhir_rules=fhir.FhirRules(time_zone=site.time_zone, currency=site.currency),
            hl7v2_by_feed={f.name: _v2_rules(f, v2) for f in settings.feeds},
            fhir_by_feed={f.name: _fhir_rules(f, site) for f in settings.feeds},
            hooks=load_hooks(settings),
            checks=checks,
        )

    def _v2_base(self, tables: Tables) -> hl7v2.FeedRules:
        concepts = {name: tables.concept(name) for name in V2_TABLES}
        site = self.settings.site
        return hl7v2.FeedRules(time_zone=site.time_zone, currency=site.currency, concepts=concepts)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, made where it is not there yet. What a service that died had acknowledged is filed first."""
        ledger = open_ledger(self.settings.store_path())
        self._open.callback(ledger.close)
        file_inbox(ledger)
        keep_order(ledger, self.settings.worklist.value())
        return ledger

    @cached_property
    def stages(self) -> Stages:
        """The stages against the ledger."""
        return Stages(self.ledger, self.rulebook, self._lines, timedelta(seconds=self.settings.worker.quiet_seconds))

    @cached_property
    def workplace(self) -> Workplace:
        """What people decide work items with: the ledger, and the tables as they were activated last."""
        lock = Lock()

        def rulebook() -> Rulebook:
            folder = self.settings.tables.dir
            with lock:
                if folder and read_history(folder).state != self.rulebook.tables.state:
                    self.read_tables_again()
                return self.rulebook

        def fold(key: str) -> Chart:
            return self.stages.folding.chart_anew(key)  # the stages of now: they change with the tables

        return Workplace(self.ledger, self.settings, rulebook, fold)

    @cached_property
    def checked_again(self) -> CheckedAgain:
        """What checks claims again as they were made, by the tables and edits of now."""

        def fold(key: str, as_of: datetime) -> Chart:
            return self.stages.folding.chart_anew(key, as_of)

        return CheckedAgain(self.ledger, self.rulebook, fold)

    @cached_property
    def payer_stages(self) -> PayerStages:
        """The stages of delivery alone; no table is read for them."""
        return PayerStages(Delivery(self.ledger, self.settings.site.claim_identifier_system, self._lines))

    @cached_property
    def _lines(self) -> dict[str, PayerLine]:
        return {p.name: payer_line(p) for p in self.settings.payers}

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
        profile_of(payer.value()),
        access=payer,
        timeout=(payer.connect_timeout, payer.read_timeout),
        options=ClientOptions(on_attempt=tries.note),
    )
    policy = RetryPolicy(
        payer.retry_base,
        payer.retry_cap,
        payer.max_tries,
        payer.poll_base,
        payer.poll_cap,
        give_up_after=3600.0 * payer.give_up_hours,
        unknown=payer.unknown,
        decide_within=86400.0 * payer.decide_days,
    )
    lease = 10.0 + payer.connect_timeout + 3.0 * payer.read_timeout
    breaker = BreakerPolicy(payer.breaker_failures, payer.slow_seconds, payer.probe_seconds, payer.probe_cap, lease)
    inquire_after = 86400.0 * payer.inquire_days if payer.inquire_days else None
    return PayerLine(client, policy, tries, breaker, payer.concurrency, payer.per_second, inquire_after=inquire_after)


def _v2_rules(feed: Feed, base: hl7v2.FeedRules) -> hl7v2.FeedRules:
    return feed.rules.value(base, feed.charset, feed.namespace)


def _fhir_rules(feed: Feed, site: SiteSettings) -> fhir.FhirRules:
    return fhir.FhirRules(feed.namespace, feed.rules.time_zone or site.time_zone, site.currency)


def _check_of(feed: Feed) -> FeedCheck:
    return feed_check(feed.rules.conformance == "reject", feed.rules.profiles)
