"""From a gap to a proposed row: what it asks, what is refused, and that nothing reads it before it is activated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from fhir_coder.app import App
from fhir_coder.errors import FhirCoderError, NotFoundError, TableError
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import Coding, CodingContext, Kind, System
from fhir_coder.proposals import Decision, Question, proposal_of, question_of_item
from fhir_coder.settings import example_settings
from fhir_coder.store import items, messages
from fhir_coder.store.messages import Incoming
from fhir_coder.terminology import load_table
from fhir_coder.terminology.proposing import Proposal, Proposed, propose
from tests.stages import settle

REPO = Path(__file__).resolve().parents[2]
FIXTURE = (REPO / "fixtures" / "unmapped-diagnosis" / "01-dft-p03.hl7").read_bytes()
ON = date(2026, 11, 24)
LOCAL_DX = "DX-UNKNOWN^Harbour rash^L"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    settings = example_settings()
    site = tmp_path / "mappings"
    shutil.copytree(REPO / "mappings" / "example-site", site)
    changed = {
        "store": settings.store.model_copy(update={"url": f"sqlite:///{tmp_path / 'ledger.db'}"}),
        "worker": settings.worker.model_copy(update={"quiet_seconds": 0}),
        "tables": settings.tables.model_copy(update={"dir": site}),
    }
    with App(settings.model_copy(update=changed)) as one:
        yield one


def folder(app: App) -> Path:
    assert app.settings.tables.dir is not None
    return app.settings.tables.dir


def received(app: App, diagnosis: str = LOCAL_DX, changed: tuple[str, str] = ("", "")) -> int:
    """Take a message whose diagnosis is as said through the stages; answers the number of its gap's work item."""
    body = FIXTURE.replace(LOCAL_DX.encode(), diagnosis.encode()).replace(
        changed[0].encode() or b"\0", changed[1].encode()
    )
    with app.ledger.writing() as connection:
        messages.keep(connection, Incoming("ward", read_header(body), body), app.ledger.clock())
    settle(app)
    with app.ledger.reading() as connection:
        return next((int(row.id) for row in items.open_items(connection) if row.kind == "gap"), 0)


def question(app: App, item: int) -> Question:
    return question_of_item(app.ledger, item, app.stages.folding.chart_anew, app.rulebook)


def decision(to: str, why: str = "", **said: str) -> Decision:
    return Decision(to, said, why, "user coder", ON)


def proposed(app: App, asked: Question, decided: Decision) -> Proposed:
    return propose(folder(app), proposal_of(asked, decided, app.rulebook), app.rulebook.code_sets, ON)


def named(code: str = "DX-9", kind: Kind = Kind.DIAGNOSIS, system: str = System.LOCAL) -> Question:
    return Question(kind, Coding(system, code))


def test_a_gap_becomes_a_row_that_says_who_when_and_from_which_item(app: App) -> None:
    item = received(app)
    made = proposed(app, question(app, item), decision("R21"))

    [row] = made.table.rows["DX-UNKNOWN"]
    assert (made.table.kind, made.table.source_system) == (Kind.DIAGNOSIS, System.LOCAL)
    assert row.target == Coding(System.ICD10CM, "R21")
    assert row.note == f"proposed 2026-11-24 by user coder, work item {item}, no_table"
    assert made.line == row.line == 2


def test_coding_reads_a_proposal_only_when_it_lies_among_the_tables(app: App) -> None:
    asked = question(app, received(app))
    made = proposed(app, asked, decision("R21"))

    with App(app.settings) as before:
        assert before.tables.table(made.table.id) is None
    for suffix in (".csv", ".toml"):
        shutil.move(Path(made.table.file).with_suffix(suffix), folder(app))
    with App(app.settings) as after:
        assert after.tables.table(made.table.id) is not None
        assert received(after, changed=("LK000601", "LK000699")) == 0  # the gap is closed, its cause is gone


def test_rows_that_fit_other_visits_lend_the_proposal_their_conditions(app: App) -> None:
    _site_table(app, "source_code,target_code,sex,encounter_class\nDX-UNKNOWN,L30.9,male,IMP\n")
    item = received(app)
    asked = question(app, item)

    proposal = proposal_of(asked, decision("R21"), app.rulebook)

    assert asked.reason == "no_row_fits"
    assert (proposal.cells["sex"], proposal.cells["encounter_class"]) == ("female", "AMB")


def test_an_age_is_never_taken_from_one_visit(app: App) -> None:
    _site_table(app, "source_code,target_code,age\nDX-UNKNOWN,L30.9,<29d\n")
    asked = question(app, received(app))

    with pytest.raises(FhirCoderError, match="--set age"):
        proposal_of(asked, decision("R21"), app.rulebook)
    assert proposal_of(asked, decision("R21", age=">=18y"), app.rulebook).cells["age"] == ">=18y"


def test_what_the_tables_ask_of_each_visit_needs_a_reason_to_be_answered_for_all(app: App) -> None:
    asked = question(app, received(app, "44465007^x^SCT"))

    with pytest.raises(FhirCoderError, match="--why"):
        proposal_of(asked, decision("S93.409A"), app.rulebook)
    made = proposed(app, asked, decision("S93.409A", why="no side is ever sent"))
    assert made.table.rows["44465007"][0].note.startswith("no side is ever sent; proposed")


def test_words_in_a_codes_place_never_reach_a_table(app: App) -> None:
    asked = question(app, received(app, "PLACEHOLDER GINA^x^L"))

    with pytest.raises(FhirCoderError) as refused:
        proposal_of(asked, decision("R21"), app.rulebook)
    assert "GINA" not in str(refused.value)


def test_no_row_settles_a_gap_without_a_code(app: App) -> None:
    item = received(app, "^words^L")

    with pytest.raises(FhirCoderError, match="no_code"):
        question(app, item)


def test_only_an_open_gap_can_be_answered(app: App) -> None:
    received(app)

    with pytest.raises(NotFoundError, match="work list"):
        question(app, 999)


@pytest.mark.parametrize(
    ("asked", "decided", "rule"),
    [
        (named(), decision("S52.50"), "not a valid ICD-10-CM code"),
        (named(), decision("R2199"), "written with its dot"),
        (named("44465008", system=System.SNOMED), decision("R21"), "check digit"),
        (named(), decision("needs-detail", sex="woman"), "unknown sex"),
        (named(), decision("R21", age="old"), "not an age"),
        (named("XR9", Kind.CHARGE), decision("hcpcs|A9999X"), "not a valid HCPCS"),
        (named(), decision("R21", group="x"), "positive whole number"),
        (named(), decision("R21", modifiers="LT"), "only rows for services"),
    ],
)
def test_what_the_check_refuses_is_refused_and_nothing_is_written(
    app: App, asked: Question, decided: Decision, rule: str
) -> None:
    with pytest.raises(TableError) as refused:
        proposed(app, asked, decided)

    assert rule in str(refused.value)
    assert [path.name for path in (folder(app) / "proposed").iterdir()] == []


def test_a_proposal_that_fits_as_well_as_a_row_in_use_is_refused(app: App) -> None:
    _site_table(app, "source_code,target_code\nDX-9,L30.9\n")

    with pytest.raises(TableError, match="fits as well as"):
        proposed(app, named(), decision("R21"))


def test_a_second_decision_about_the_same_code_is_refused(app: App) -> None:
    proposed(app, named(), decision("R21"))

    with pytest.raises(TableError, match="repeats line 2"):
        proposed(app, named(), decision("R22"))


def test_proposals_wait_together_beside_the_rows_in_use(app: App) -> None:
    first = proposed(app, named("DX-1"), decision("R21"))
    for suffix in (".csv", ".toml"):
        shutil.copy(Path(first.table.file).with_suffix(suffix), folder(app))
    proposed(app, named("DX-2"), decision("not-billable"))
    third = proposed(app, named("DX-3"), decision("needs-detail", why="which rash?"))

    assert third.waiting == 2
    assert set(load_table(Path(third.table.file)).rows) == {"DX-1", "DX-2", "DX-3"}


def test_a_row_begins_with_its_target(app: App) -> None:
    asked = Question(Kind.DIAGNOSIS, Coding(System.LOCAL, "C-19"), context=CodingContext(service_date=ON))

    assert proposal_of(asked, decision("U07.1"), app.rulebook).cells["valid_from"] == "2020-04-01"
    assert "valid_from" not in proposal_of(asked, decision("I10"), app.rulebook).cells


def test_the_system_of_a_services_code_is_told_by_its_form_or_named(app: App) -> None:
    def system(to: str) -> str:
        return proposal_of(named("XR9", Kind.CHARGE), decision(to), app.rulebook).cells["target_system"]

    assert (system("Q0092"), system("0DTJ4ZZ"), system("cpt|9000A")) == ("hcpcs", "icd10pcs", "cpt")
    with pytest.raises(FhirCoderError, match=r"SYSTEM\|CODE"):
        system("9")


def test_a_cell_that_the_command_decides_cannot_be_set(app: App) -> None:
    with pytest.raises(FhirCoderError, match="target_code"):
        proposal_of(named(), decision("R21", target_code="R22"), app.rulebook)


def test_a_system_without_a_short_name_has_a_table_of_its_own(app: App) -> None:
    one = proposed(app, named(system="urn:hl7v2:KLEIN"), decision("R21")).table
    other = proposed(app, named(system="urn:hl7v2:GROSS"), decision("L30.9")).table

    assert one.id != other.id
    assert (one.source_system, other.source_system) == ("urn:hl7v2:KLEIN", "urn:hl7v2:GROSS")


def test_the_proposal_as_a_value_has_no_empty_cells(app: App) -> None:
    proposal = proposal_of(named(), decision("R21"), app.rulebook)

    assert isinstance(proposal, Proposal)
    assert all(proposal.cells.values())


def _site_table(app: App, rows: str) -> None:
    (folder(app) / "rash.csv").write_text(rows, encoding="utf-8")
    (folder(app) / "rash.toml").write_text(
        'id = "rash"\ntitle = "Rashes"\nkind = "diagnosis"\nsource_system = "local"\n'
        'target_system = "icd10cm"\nversion = "1"\nlicence = "own"\n',
        encoding="utf-8",
    )
