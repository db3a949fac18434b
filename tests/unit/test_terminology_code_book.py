"""Codes shown and searched: by their words as coders write them, on a date, with all that a coder must know."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.errors import FhirCoderError, TableError
from fhir_coder.shipped import shipped
from fhir_coder.terminology import CodeSets, open_codesets
from fhir_coder.terminology.codesets.book import CodeBook, CodeDetail, read_abbreviations
from fhir_coder.terminology.codesets.index import Entry, index_file, stem
from fhir_coder.terminology.codesets.search import edits

TODAY = date(2026, 11, 3)
FOLDER = shipped("mappings") / "codesets"


@pytest.fixture(scope="module")
def sets() -> Iterator[CodeSets]:
    with open_codesets(FOLDER) as opened:
        yield opened


@pytest.fixture(scope="module")
def book(sets: CodeSets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeBook]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with CodeBook(sets, read_abbreviations([FOLDER])) as opened:
            yield opened


def detail(book: CodeBook, code: str, on: date = TODAY) -> CodeDetail:
    [found] = book.details(code, on, book.names())
    return found


def codes(book: CodeBook, query: str, limit: int = 5, on: date = TODAY) -> list[str]:
    return [one.code for one in book.search(query, on, book.names(), limit)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("htn", "I10"),
        ("hypertension", "I10"),
        ("pnuemonia", "J18.9"),
        ("pneumonia", "J18.9"),
        ("covid", "U07.1"),
        ("dm2 w neuropathy", "E11.40"),
        ("diabetic neuropthy type 2", "E11.40"),
        ("chf", "I50.9"),
        ("afib", "I48.91"),
        ("uti", "N39.0"),
        ("copd exacerbation", "J44.1"),
        ("asthma exac", "J45.901"),
        ("low back pain", "M54.50"),
        ("lbp", "M54.50"),
        ("stemi", "I21.3"),
        ("heart attack", "I21.9"),
        ("chest pain", "R07.9"),
        ("depression", "F32.A"),
        ("otitis media left", "H66.92"),
        ("kidney stone", "N20.0"),
        ("acute appendicitis", "K35.80"),
        ("well child", "Z00.129"),
        ("flu shot", "Z23"),
        ("bedsore sacral stage 3", "L89.153"),
        ("hypothyroid", "E03.9"),
        ("hyperlipidemia", "E78.5"),
        ("lac finger", "S61.219"),
        ("sprain ankle left", "S93.402"),
        ("colles fx left", "S52.532"),
        ("fracture distal radius right initial", "S52.501A"),
        ("hypertensive hart disease", "I11.9"),
        ("ketorolac", "J1885"),
        ("E119", "E11.9"),
        ("e11.9", "E11.9"),
        ("J1885", "J1885"),
    ],
)
def test_a_coders_words_find_the_code(book: CodeBook, query: str, first: str) -> None:
    assert codes(book, query)[0] == first


@pytest.mark.parametrize(
    ("query", "among"), [("wrist fx", "S62.109"), ("fracture wrist", "S62.10"), ("dvt left leg", "I82.402")]
)
def test_a_vague_query_has_the_plain_code_among_the_first(book: CodeBook, query: str, among: str) -> None:
    assert among in codes(book, query)


@pytest.mark.parametrize("query", ["", "   ", "xyzzyqq", "of the", "%", '"', "a OR", "*", "é"])
def test_words_that_mean_nothing_find_nothing(book: CodeBook, query: str) -> None:
    assert codes(book, query) == []


@given(st.text(max_size=40))
def test_no_query_breaks_the_search(book: CodeBook, query: str) -> None:
    assert len(codes(book, query, 3)) <= 3


def test_the_episode_chooses_the_7th_character(book: CodeBook) -> None:
    assert codes(book, "colles fracture right closed initial")[0] == "S52.531A"
    assert codes(book, "colles fracture right sequela") == ["S52.531S"]


def test_headers_are_marked(book: CodeBook) -> None:
    status = {one.code: one.status for one in book.search("fracture lower end of radius", TODAY, ["icd10cm"], 15)}

    assert status["S52.5"] == "header"
    assert status["S52.501"] == "7th character"
    assert {one.status for one in book.search("E11.9", TODAY, ["icd10cm"], 5)} == {"billable"}


def test_a_code_is_found_only_on_its_days(book: CodeBook) -> None:
    assert "U07.1" in codes(book, "covid", 10, date(2020, 4, 1))
    assert "U07.1" not in codes(book, "covid", 10, date(2020, 3, 31))


def test_a_search_takes_less_than_50_ms_once_the_index_is_there(book: CodeBook) -> None:
    queries = ("fracture", "pnuemonia", "dm2 w neuropathy", "wrist fx")
    codes(book, "warm")

    def took(query: str) -> float:
        began = time.process_time()
        codes(book, query)
        return time.process_time() - began

    assert min(sum(map(took, queries)) for _ in range(3)) / len(queries) < 0.05


def test_notes_are_inherited_but_inclusion_terms_are_not(book: CodeBook) -> None:
    found = detail(book, "J18.9")

    assert [note.of for note in found.notes if note.kind == "excludes1"][:1] == ["J18"]
    assert ("code_first", "J18") in {(note.kind, note.of) for note in found.notes}
    radius = detail(book, "S52.501A")
    assert {note.of for note in radius.notes if note.kind == "excludes2"} >= {"S52.5", "S52"}
    assert not [note for note in radius.notes if note.kind == "inclusion_terms"]
    assert [one.code for one in radius.above] == ["19", "S50-S59", "S52", "S52.5", "S52.50", "S52.501"]


def test_a_header_says_what_to_code_instead(book: CodeBook) -> None:
    found = detail(book, "S52501")

    assert (found.code, found.status) == ("S52.501", "header")
    assert ("S52.501A", "billable") in {(one.code, one.status) for one in found.instead}
    assert found.sevenths["D"] == "subsequent encounter for closed fracture with routine healing"


def test_a_header_of_today_was_a_code_before_it_was_split(book: CodeBook) -> None:
    now, then = detail(book, "E66.8"), detail(book, "E66.8", date(2023, 1, 1))

    assert (now.status, then.status) == ("header", "billable")
    assert now.periods == ((date(2015, 10, 1), date(2024, 9, 30)),)
    assert [one.code for one in now.instead] == ["E66.81", "E66.89"]
    assert then.instead == ()


def test_no_code_above_a_category_of_its_own_block_is_itself(book: CodeBook) -> None:
    assert [one.code for one in detail(book, "B99.9").above] == ["1", "B99"]


def test_hcpcs_has_its_long_title_and_dates(book: CodeBook) -> None:
    found = detail(book, "J1885")

    assert found.long_title == "Injection, ketorolac tromethamine, per 15 mg"
    assert (found.set_name, found.status, found.periods) == ("hcpcs", "billable", ((date(1993, 1, 1), None),))
    assert detail(book, "LT").set_name == "hcpcs-modifiers"


def test_icd10pcs_is_judged_but_has_no_titles(book: CodeBook) -> None:
    found = detail(book, "0DTJ4ZZ")

    assert (found.set_name, found.status) == ("icd10pcs", "billable")
    assert "no free source" in found.title


@pytest.mark.parametrize("code", ["", "XX", "Z99.999", "1", "S50-S59", "../etc", "' OR 1=1"])
def test_what_is_no_code_has_no_detail(book: CodeBook, code: str) -> None:
    assert book.details(code, TODAY, book.names()) == []


def test_the_list_of_titles_is_not_loaded_once_the_index_is_there(book: CodeBook, tmp_path: Path) -> None:
    codes(book, "covid")
    script = (
        "import sys\nfrom datetime import date\nfrom pathlib import Path\n"
        "from fhir_coder.terminology.codesets.book import CodeBook\n"
        "from fhir_coder.terminology import open_codesets\n"
        f"with open_codesets(Path({str(FOLDER)!r})) as sets, CodeBook(sets, {{}}) as book:\n"
        "    assert book.search('covid', date(2026, 11, 3), ['icd10cm'], 1)\n"
        "assert 'simple_icd_10_cm' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_an_index_that_could_not_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def broken() -> Iterator[Entry]:
        yield Entry("A00", "Cholera")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        index_file("icd10cm", "1", broken)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_without_a_cache_folder_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(FhirCoderError, match="XDG_CACHE_HOME"):
        index_file("icd10cm", "1", list)


def test_abbreviations_of_the_site_go_before_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "abbreviations.csv").write_text("short,meaning\nHTN,high tension\n")

    assert read_abbreviations([tmp_path, FOLDER])["htn",] == "high tension"
    assert read_abbreviations([tmp_path, FOLDER])["fx",] == "fracture"
    (tmp_path / "abbreviations.csv").write_text("a,b\n")
    with pytest.raises(TableError, match="short,meaning"):
        read_abbreviations([tmp_path])


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("pnuemonia", "pneumonia", 1),
        ("neuropthy", "neuropathy", 1),
        ("same", "same", 0),
        ("ab", "", 2),
        ("cat", "dog", 3),
    ],
)
def test_letters_to_change_are_counted(one: str, other: str, count: int) -> None:
    assert edits(one, other) == edits(other, one) == count


@pytest.mark.parametrize(
    ("word", "expected"), [("fractures", "fracture"), ("arteries", "artery"), ("pus", "pus"), ("sepsis", "sepsis")]
)
def test_plurals_are_one_word_with_their_singular(word: str, expected: str) -> None:
    assert stem(word) == expected
