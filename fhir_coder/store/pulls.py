"""How far each FHIR server was read, so that a restart goes on where the reading stood."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects.sqlite import insert as upsert

from fhir_coder.store.schema import fhir_exports, fhir_searches, fhir_servers


@dataclass(frozen=True, slots=True)
class ServerState:
    """Whether a feed's server is `up` or `down`, since when and why, and when all was read last."""

    feed: str
    state: str
    reason: str
    since: datetime
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SearchPlace:
    """Where the reading of one resource type stands.

    All that was changed before `watermark` is kept, and `next_link` is the page to go on at, empty between searches.
    """

    feed: str
    type: str
    watermark: datetime | None = None
    next_link: str = ""


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """Where the bulk export of a feed stands: asked for (`status_url`), ready (`manifest`), read so many files.

    `watermark` is the server's time of the last one that was read whole, at `finished_at`.
    """

    feed: str
    level: str = ""
    status_url: str = ""
    manifest: str = ""
    files_read: int = 0
    watermark: str = ""
    finished_at: datetime | None = None


def search_place(connection: Connection, feed: str, resource_type: str) -> SearchPlace:
    """Where the reading of a type stands; at its beginning where nothing is known."""
    named = (fhir_searches.c.feed == feed) & (fhir_searches.c.type == resource_type)
    row = connection.execute(select(fhir_searches).where(named)).one_or_none()
    return SearchPlace(row.feed, row.type, row.watermark, row.next_link) if row else SearchPlace(feed, resource_type)


def search_places(connection: Connection, feed: str) -> list[SearchPlace]:
    """Where the reading of each type of a feed stands, by type."""
    query = select(fhir_searches).where(fhir_searches.c.feed == feed).order_by(fhir_searches.c.type)
    return [SearchPlace(*row) for row in connection.execute(query)]


def export_place(connection: Connection, feed: str) -> ExportPlace:
    """Where the export of a feed stands; nowhere where nothing is known."""
    row = connection.execute(select(fhir_exports).where(fhir_exports.c.feed == feed)).one_or_none()
    return ExportPlace(*row) if row else ExportPlace(feed)


def server_states(connection: Connection) -> list[ServerState]:
    """The servers that were ever read, by feed."""
    return [ServerState(*row) for row in connection.execute(select(fhir_servers).order_by(fhir_servers.c.feed))]


def server_state(connection: Connection, feed: str) -> ServerState | None:
    """What was last known of a feed's server, None where it was never read."""
    row = connection.execute(select(fhir_servers).where(fhir_servers.c.feed == feed)).one_or_none()
    return ServerState(*row) if row else None


def advance_searches(connection: Connection, feed: str, types: Iterable[str], at: datetime) -> None:
    """Let the searches of a feed begin no earlier than where an export of everything ended."""
    for resource_type in types:
        place = search_place(connection, feed, resource_type)
        if place.watermark is None or place.watermark < at:
            save(connection, replace(place, watermark=at))


def save(connection: Connection, place: SearchPlace | ExportPlace | ServerState) -> None:
    """Write down where something stands."""
    table, keys = _TABLES[type(place)]
    values = asdict(place)
    changed = {name: value for name, value in values.items() if name not in keys}
    statement = upsert(table).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changed))


_TABLES: dict[type, tuple[Table, tuple[str, ...]]] = {
    SearchPlace: (fhir_searches, ("feed", "type")),
    ExportPlace: (fhir_exports, ("feed",)),
    ServerState: (fhir_servers, ("feed",)),
}
