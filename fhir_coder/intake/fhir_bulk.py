"""Reads a FHIR server by bulk exports: asked for, waited for, downloaded, read line by line, deleted at the server.

FHIR Bulk Data Access 2.0 and 3.0. Each step is in the ledger before the next begins; after a crash the export goes on
with the file at hand, and lines that were kept already are recognised as repeats.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson

from fhir_coder.errors import UnreadableError
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.fhir_client import FhirServer
from fhir_coder.intake.fhir_errors import FhirServerError, StoppedError
from fhir_coder.intake.fhir_pages import begin_of, read_instant, reading_place
from fhir_coder.intake.fhir_pull import Tally, incoming_of, keep
from fhir_coder.intake.groups import blocks_of, in_groups
from fhir_coder.intake.stream import TooLarge, inflated, payloads_of_stream
from fhir_coder.logs import log
from fhir_coder.payers.answer import HttpAnswer, objects, read_json, text
from fhir_coder.payers.outcomes import retry_after_seconds
from fhir_coder.settings import FhirFeed
from fhir_coder.store import Ledger, pulls
from fhir_coder.store.messages import Incoming
from fhir_coder.store.pulls import ExportPlace

_REFERRED_TYPES = ("Patient", "Practitioner", "PractitionerRole", "Organization", "Location", "Coverage")
"""What the feed's types refer to: an export has no `_include`."""
_LEVELS = {"system": "$export", "patient": "Patient/$export"}
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 120.0
_LONGEST_LINE = 64 * 1024 * 1024
_GONE = frozenset({404, 410})
"""What a file is answered with that the server has no more."""
_FAILED = _GONE | {400, 422, 500, 501}
"""What the status address is answered with where nothing more will come of the export (Bulk Data 2.0)."""


_ALL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _File:
    """One file of an export. `kind` is `output`, `deleted` or `error`."""

    url: str
    kind: str


class FhirBulk:
    """The bulk exports of one feed; `folder` is where its files are while they are read."""

    def __init__(self, feed: FhirFeed, server: FhirServer, ledger: Ledger, desk: IntakeDesk, folder: Path) -> None:
        self._feed, self._server, self._ledger, self._desk, self._folder = feed, server, ledger, desk, folder

    def export(self) -> Tally:
        """Read one export whole, the one that runs or a new one. Raises FhirServerError, StoppedError."""
        tally = Tally()
        place = self._place()
        if place.status_url and place.level != self._feed.bulk:
            self._clear_away(place)  # the settings ask for another one now
            place = self._place()
        try:
            place = place if place.status_url else self._ask(place)
            place = place if place.manifest else self._wait(place)
            self._read_files(place, tally)
        except FhirServerError as error:
            if error.http_status in (_GONE if place.manifest else _FAILED):
                self._forget()  # the next export asks for the same once more
            raise
        self._finish(place)
        log.info("export_read", feed=self._feed.name, messages=tally.messages)
        return tally

    def is_running(self) -> bool:
        """Whether an export was begun and not read to its end."""
        return bool(self._place().status_url)

    def finished_at(self) -> datetime | None:
        """When the last export was read to its end."""
        return self._place().finished_at

    # --- the steps

    def _ask(self, place: ExportPlace) -> ExportPlace:
        level = self._feed.bulk
        path = _LEVELS.get(level) or f"Group/{level.removeprefix('group/')}/$export"
        since = place.watermark if place.level == level else ""
        query = {
            "_since": since or begin_of(self._feed.since).isoformat().replace("+00:00", "Z"),
            "_type": ",".join(dict.fromkeys((*self._feed.types, *_REFERRED_TYPES))),
            "_outputFormat": "application/fhir+ndjson",
        }
        answer = self._server.get(f"{path}?{urlencode(query, safe=':,')}", {"Prefer": "respond-async"}, once=True)
        where = answer.headers.get("content-location", "")
        if answer.status != 202 or not where:
            raise FhirServerError("export_not_begun", answer.status)
        begun = ExportPlace(self._feed.name, level, self._server.address(where), "", 0, since, place.finished_at)
        self._save(begun)
        log.info("export_asked", feed=self._feed.name)
        return begun

    def _wait(self, place: ExportPlace) -> ExportPlace:
        tries = 0
        while True:
            answer = self._server.get(place.status_url, {"Accept": "application/json"})
            if answer.status != 202:
                break
            if self._server.stopping.wait(_pause(answer, tries)):
                raise StoppedError
            tries = min(tries + 1, 10)
        manifest = read_json(answer.body)
        if not isinstance(manifest, dict) or not isinstance(manifest.get("output"), list):
            raise FhirServerError("export_not_understood", answer.status)
        ready = replace(place, manifest=answer.body.decode("utf-8"), files_read=0)
        self._save(ready)
        return ready

    def _read_files(self, place: ExportPlace, tally: Tally) -> None:
        manifest = orjson.loads(place.manifest)
        with_token = manifest.get("requiresAccessToken") is not False
        for number, file in enumerate(_files(manifest)):
            if number < place.files_read:
                continue
            path = self._working_folder() / f"{number:06d}.ndjson"
            self._server.download(file.url, path, with_token=with_token)
            kept = self._keep(path, tally)
            if file.kind == "error" and kept:
                log.warning("export_errors_reported", feed=self._feed.name, messages=kept)
            place = replace(place, files_read=number + 1)
            self._save(place)
            path.unlink()

    def _keep(self, path: Path, tally: Tally) -> int:
        """Hand the lines of a file in, group by group; answers how many there were."""
        number = 0
        for group in in_groups(self._incoming(path, tally)):
            if self._server.stopping.is_set():
                raise StoppedError
            keep(self._desk, group, tally)
            number += len(group)
        return number

    def _incoming(self, path: Path, tally: Tally) -> Iterator[Incoming]:
        try:
            for line in payloads_of_stream(inflated(blocks_of(path)), _LONGEST_LINE):
                if isinstance(line, TooLarge):
                    tally.faults += 1
                    log.warning("payload_too_large", feed=self._feed.name, bytes=line.size)
                else:
                    yield incoming_of(self._feed, line)
        except UnreadableError as error:
            path.unlink()  # downloaded anew next time
            raise FhirServerError(f"file_{error.rule}") from None

    def _finish(self, place: ExportPlace) -> None:
        """Move the watermark, then let the server forget the export; one that it forgot already is no fault."""
        reached = text(orjson.loads(place.manifest), "transactionTime")
        watermark = reached if read_instant(reached) else place.watermark
        done = replace(place, watermark=watermark, finished_at=self._ledger.clock(), files_read=_ALL)
        with self._ledger.writing() as connection:
            pulls.save(connection, done)
            if place.level == "system" and (at := read_instant(watermark)):
                pulls.advance_searches(connection, self._feed.name, self._feed.types, at)
        self._clear_away(done)

    def _clear_away(self, place: ExportPlace) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            self._server.delete(place.status_url)
        except FhirServerError as error:
            if not error.is_refusal:
                raise
        self._forget()

    def _forget(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._save(replace(self._place(), status_url="", manifest="", files_read=0))

    # --- state

    def _place(self) -> ExportPlace:
        with self._ledger.reading() as connection:
            return pulls.export_place(connection, self._feed.name)

    def _save(self, place: ExportPlace) -> None:
        with self._ledger.writing() as connection:
            pulls.save(connection, place)

    def _working_folder(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)  # patients' data lies here until it is in the ledger
        return self._folder


def _files(manifest: Any) -> Iterator[_File]:
    """The files of a manifest: what is there (charges first), what was deleted, what went wrong."""
    for kind in ("output", "deleted", "error"):
        for listed in sorted(objects(manifest, kind), key=lambda file: reading_place(text(file, "type"))):
            if url := text(listed, "url"):
                yield _File(url, kind)


def _pause(answer: HttpAnswer, tries: int) -> float:
    """Seconds until the server is asked again whether it is done."""
    asked_for = retry_after_seconds(answer.headers.get("retry-after", ""), datetime.now(UTC))
    return asked_for if asked_for is not None else min(_FIRST_WAIT * 2.0**tries, _LONGEST_WAIT)
