"""Files of any size to claims on disk: those of the live path and of `convert`, whatever the files are packed in."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from sqlalchemy import select

from fhir_coder.app import App
from fhir_coder.bulk.page import summary_text
from fhir_coder.bulk.run import BulkOptions, convert_files
from fhir_coder.bulk.summary import BulkSummary
from fhir_coder.claims import to_bytes
from fhir_coder.conversion import claim_to_json
from fhir_coder.errors import UsageError
from fhir_coder.intake.payloads import header_or_fault, payloads_in
from fhir_coder.scenarios import find_scenarios
from fhir_coder.shipped import shipped
from fhir_coder.store import messages
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import claims as claim_table
from tests.population import write_export
from tests.stages import settle

DAY = date(2026, 11, 23)
FIXTURES = [file for scenario in find_scenarios([shipped("fixtures")]) for file in scenario.files]
V2 = [file for file in FIXTURES if file.suffix == ".hl7" and "broken" not in file.parent.name][:6]
POISON = "Zzpoisonous"


@pytest.fixture(scope="module")
def site() -> Iterator[App]:
    """The example site."""
    with App() as one:
        yield one


def bulk(app: App, paths: Sequence[Path], out: Path, **said: Any) -> BulkSummary:
    return convert_files(paths, out, app, BulkOptions(jobs=1, created=DAY, **said))


def claim_lines(out: Path) -> list[bytes]:
    return (out / "claims.ndjson").read_bytes().splitlines()


def rows(path: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        asked = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
        names = [column[0] for column in asked.description or ()]
        return [dict(zip(names, row, strict=True)) for row in asked.fetchall()]


def refused(out: Path) -> list[dict[str, str]]:
    return [orjson.loads(line) for line in (out / "refused.ndjson").read_bytes().splitlines()]


@pytest.fixture(scope="module")
def of_fixtures(site: App, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run over all fixtures together."""
    out = tmp_path_factory.mktemp("bulk") / "out"
    bulk(site, FIXTURES, out)
    return out


def test_all_fixtures_give_byte_for_byte_the_claims_that_the_live_path_files(app: App, of_fixtures: Path) -> None:
    for file in FIXTURES:
        for body in payloads_in(file.read_bytes()):
            header, fault = header_or_fault(body)
            with app.ledger.writing() as connection:
                messages.keep(connection, Incoming("bulk", header, body, fault), app.ledger.clock())
    settle(app)
    with app.ledger.reading() as connection:
        filed = connection.execute(select(claim_table.c.identifier, claim_table.c.body, claim_table.c.created_at)).all()
    live = {row.identifier: orjson.loads(row.body) for row in filed}
    created = next(iter(live.values()))["created"]
    came = {}
    for line in claim_lines(of_fixtures):
        claim = orjson.loads(line)["claim"]
        value = claim["identifier"][0]["value"]
        body = next(row.body for row in filed if row.identifier == value)
        came[value] = line
        assert body.replace(created.encode(), DAY.isoformat().encode()) in line, value
    assert came.keys() == live.keys()


def test_all_fixtures_give_byte_for_byte_what_convert_gives(site: App, tmp_path: Path) -> None:
    firsts = {file.read_bytes(): file for file in reversed(FIXTURES)}
    converted = site.convert([file for file in FIXTURES if file in firsts.values()], DAY)

    bulk(site, FIXTURES, tmp_path)  # recognises repeats, as the inbox does

    assert sorted(claim_lines(tmp_path)) == sorted(to_bytes(claim_to_json(claim)) for claim in converted.claims)


def test_gaps_findings_and_refusals_are_those_of_convert(site: App, of_fixtures: Path) -> None:
    converted = site.convert(FIXTURES, DAY)

    gaps = [
        (row["chart_key"], row["reason"], row["code"], row["message"]) for row in rows(of_fixtures / "gaps.parquet")
    ]
    findings = [(row["identifier"], row["edit"], row["path"]) for row in rows(of_fixtures / "findings.parquet")]
    unreadable = [row["id"] for row in refused(of_fixtures) if row["status"] == "quarantined"]

    assert sorted(gaps) == sorted((g.chart_key, g.reason, g.code, g.origin.message) for g in converted.gaps)
    wanted = [(claim.identifier, f.edit, f.path) for claim in converted.claims for f in claim.findings]
    assert sorted(findings) == sorted(wanted)
    assert sorted(unreadable) == sorted(m.id for m in converted.unreadable)


def test_archives_give_the_claims_of_what_they_hold(site: App, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("__MACOSX/._x", b"rubbish")
        for file in V2[:3]:
            packed.write(file, f"in/{file.parent.name}-{file.name}")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as packed_tar:
        for file in V2[3:5]:
            packed_tar.add(file, f"{file.parent.name}-{file.name}")
    (tmp_path / "c.hl7.gz").write_bytes(gzip.compress(V2[5].read_bytes()))

    packed_run = bulk(site, [tmp_path / "a.zip", tmp_path / "b.tar.gz", tmp_path / "c.hl7.gz"], tmp_path / "packed")
    bulk(site, V2, tmp_path / "plain")

    def plain(line: bytes) -> Any:
        said = orjson.loads(line)
        return {name: said[name] for name in ("chart_key", "identifier", "status", "claim")}

    assert list(map(plain, claim_lines(tmp_path / "packed"))) == list(map(plain, claim_lines(tmp_path / "plain")))
    assert packed_run.sources == 6
    origin = orjson.loads(claim_lines(tmp_path / "packed")[0])["traces"][0]["origin"]["message"]
    assert origin.startswith(f"{tmp_path / 'a.zip'}!in/")


def test_parquet_gives_the_claims_of_its_rows(site: App, tmp_path: Path) -> None:
    bodies = [body for file in FIXTURES if file.suffix == ".ndjson" for body in payloads_in(file.read_bytes())]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (id INTEGER, resource VARCHAR, note VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?, ?, 'n')", [[n, b.decode()] for n, b in enumerate(bodies)])
        connection.execute(f"COPY t TO '{tmp_path / 't.parquet'}' (FORMAT parquet)")
    (tmp_path / "t.ndjson").write_bytes(b"\n".join(bodies))

    bulk(site, [tmp_path / "t.parquet"], tmp_path / "one")
    bulk(site, [tmp_path / "t.ndjson"], tmp_path / "two")

    one, two = ([orjson.loads(line)["claim"] for line in claim_lines(tmp_path / name)] for name in ("one", "two"))
    assert one
    assert one == two


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.zip", b"PK\x03\x04 not really a zip file", "the archive is damaged"),
        ("a.hl7.gz", gzip.compress(V2[0].read_bytes())[:-9], "cut off"),
        ("a.parquet", b"PAR1 no it is not", "the Parquet file is damaged"),
        ("a.hl7", b"", "the payload is empty"),
        ("a.txt", b"Dear colleague, please find enclosed", "neither HL7 v2"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_of_and_the_others_are_converted(
    site: App, tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(data)

    summary = bulk(site, [tmp_path / name, V2[5]], tmp_path / "out")

    [row] = [row for row in refused(tmp_path / "out") if row["id"].startswith(str(tmp_path / name))]
    assert why in row["reason"]
    assert summary.unreadable == 1
    assert summary.tally.claims.total() >= 1


def test_a_repeat_counts_once_and_a_conflict_is_kept_out(site: App, tmp_path: Path) -> None:
    body = V2[0].read_bytes()
    (tmp_path / "again.hl7").write_bytes(body)
    (tmp_path / "other.hl7").write_bytes(body.replace(b"|P|2", b"|T|2"))

    summary = bulk(site, [V2[0], tmp_path / "again.hl7", tmp_path / "other.hl7"], tmp_path / "out")

    alone = bulk(site, [V2[0]], tmp_path / "alone")
    assert (summary.repeats, summary.conflicts) == (alone.total_messages, alone.total_messages)
    assert [row["id"] for row in refused(tmp_path / "out")] == [f"{tmp_path / 'other.hl7'}:1"]
    assert claim_lines(tmp_path / "out") == claim_lines(tmp_path / "alone")


def test_a_visit_told_of_in_many_files_is_one_claim_wherever_its_resources_stand(site: App, tmp_path: Path) -> None:
    files = write_export(tmp_path / "export", 12)
    whole = tmp_path / "whole.ndjson"
    whole.write_bytes(b"".join(file.read_bytes() for file in reversed(files)))

    bulk(site, [tmp_path / "export"], tmp_path / "one")
    bulk(site, [whole], tmp_path / "two")

    one, two = (
        {orjson.loads(line)["chart_key"]: orjson.loads(line)["claim"] for line in claim_lines(tmp_path / name)}
        for name in ("one", "two")
    )
    assert len(one) == 12
    assert one == two


def test_the_number_of_processes_changes_no_byte(site: App, tmp_path: Path) -> None:
    export = write_export(tmp_path / "export", 3200)
    assert sum(path.stat().st_size for path in export) > 4 << 20

    for jobs in (1, 2):
        options = BulkOptions(jobs=jobs, created=DAY)
        convert_files([tmp_path / "export"], tmp_path / f"out-{jobs}", site, options)

    for name in ("claims.ndjson", "gaps.parquet", "findings.parquet", "refused.ndjson"):
        assert (tmp_path / "out-1" / name).read_bytes() == (tmp_path / "out-2" / name).read_bytes(), name


def test_gzip_packs_the_same_claims(site: App, tmp_path: Path) -> None:
    bulk(site, V2, tmp_path / "plain")
    bulk(site, V2, tmp_path / "packed", is_packed=True)

    packed = gzip.decompress((tmp_path / "packed" / "claims.ndjson.gz").read_bytes())
    assert packed == (tmp_path / "plain" / "claims.ndjson").read_bytes()


def test_a_folder_with_another_run_is_left_alone_until_told_otherwise(site: App, tmp_path: Path) -> None:
    bulk(site, V2[:1], tmp_path)
    before = claim_lines(tmp_path)

    with pytest.raises(UsageError, match="finished run"):
        bulk(site, V2[1:3], tmp_path)

    assert claim_lines(tmp_path) == before
    bulk(site, V2[1:3], tmp_path, overwrite=True)
    assert claim_lines(tmp_path) != before
    assert not (tmp_path / ".bulk").exists()


def test_input_that_is_not_there_is_said_before_anything_is_written(site: App, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        bulk(site, [tmp_path / "nothing.hl7"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no file to read"):
        bulk(site, [tmp_path / "empty"], tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_the_summary_counts_and_names_nobody(site: App, tmp_path: Path) -> None:
    body = V2[0].read_bytes().decode()
    name = next(line for line in body.splitlines() if line.startswith("PID")).split("|")[5].split("^")[0]
    (tmp_path / "a.hl7").write_text(body.replace(name, POISON), encoding="utf-8")

    summary = bulk(site, [tmp_path / "a.hl7"], tmp_path / "out")

    told = orjson.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert told["claims"]["total"] == summary.tally.claims.total() == len(claim_lines(tmp_path / "out"))
    assert told["messages"]["total"] == summary.total_messages
    page = (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 1
    assert POISON in (tmp_path / "out" / "claims.ndjson").read_text(encoding="utf-8")
    assert POISON not in page + summary_text(summary) + orjson.dumps(told).decode()


def test_an_empty_input_gives_empty_files_that_can_be_read(site: App, tmp_path: Path) -> None:
    (tmp_path / "observation.json").write_bytes(b'{"resourceType":"Observation","id":"o"}')

    summary = bulk(site, [tmp_path / "observation.json"], tmp_path / "out")

    assert summary.tally.charts == 0
    assert claim_lines(tmp_path / "out") == []
    assert rows(tmp_path / "out" / "gaps.parquet") == rows(tmp_path / "out" / "findings.parquet") == []


def test_a_tar_in_memory_order_is_read_member_by_member(site: App, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m.tar", "w") as packed:
        for number, file in enumerate(V2[:3]):
            info = tarfile.TarInfo(f"{number}.hl7")
            info.size = len(file.read_bytes())
            packed.addfile(info, io.BytesIO(file.read_bytes()))

    assert bulk(site, [tmp_path / "m.tar"], tmp_path / "out").sources == 3
