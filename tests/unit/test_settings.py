"""Settings: every fault at once with its line, paths from the file's folder, and a file that reads back to the same."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_coder.errors import SettingsError
from fhir_coder.model import Address
from fhir_coder.server import bind_all
from fhir_coder.settings import (
    BillingSettings,
    FolderFeed,
    PayerSettings,
    Settings,
    SiteSettings,
    SplitSettings,
    example_settings,
    load_settings,
    read_settings,
    to_toml,
)
from fhir_coder.shipped import EXAMPLE_SETTINGS, shipped

Write = Callable[[str | bytes], Path]


@pytest.fixture
def written(tmp_path: Path) -> Write:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "site.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def faults(path: Path) -> list[tuple[int, str]]:
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert all(f.file == str(path) for f in caught.value.faults)
    return [(f.line, f.where) for f in caught.value.faults]


def text_of(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    return str(caught.value)


MANY_FAULTS = """\
[site]
npii = "1234567893"
time_zone = "Mars/Olympus"
currency = "dollar"

[site.claim_types]
EMER = "hospital"

[http]
port = 70000

[[feeds]]
name = "a"
kind = "mllp"
port = 2575

[[feeds]]
name = "b"
kind = "mllp"
port = "many"

[[feeds]]
name = "c"
kind = "folder"

[[feeds]]
name = "d"
kind = "pigeon"

[[payers]]
name = "One Payer"
url = "ftp://payer.example"

[[payers]]
name = "two"
url = "https://payer.example"
read_timeout = 0

[printer]
"""


def test_all_faults_are_listed_at_once_each_with_its_line(written: Write) -> None:
    assert sorted(faults(written(MANY_FAULTS))) == [
        (2, "site.npii"),
        (3, "site.time_zone"),
        (4, "site.currency"),
        (7, "site.claim_types.EMER"),
        (10, "http.port"),
        (20, "feeds[1].port"),
        (22, "feeds[2].path"),
        (26, "feeds[3]"),
        (31, "payers[0].name"),
        (32, "payers[0].url"),
        (37, "payers[1].read_timeout"),
        (39, "printer"),
    ]


def test_faults_are_told_as_file_line_key_and_rule(written: Write) -> None:
    path = written("[http]\nport = -1\n")

    assert text_of(path).splitlines() == [
        f"{path} has 1 fault:",
        f"{path}:2: http.port: Input should be greater than or equal to 0",
    ]


@pytest.mark.parametrize("kind", ["feeds", "payers"])
def test_two_of_one_name_are_a_fault_told_together_with_all_others(written: Write, kind: str) -> None:
    more = {"feeds": 'kind = "http"', "payers": 'url = "https://payer.example"'}[kind]
    path = written(f'[http]\nport = 70000\n[[{kind}]]\nname = "a"\n{more}\n[[{kind}]]\nname = "a"\n{more}\n')

    assert sorted(faults(path)) == [(2, "http.port"), (3, kind)]
    assert "more than one has the name a" in text_of(path)


def test_an_unknown_key_at_the_top_is_a_fault(written: Write) -> None:
    assert faults(written('npi = "1234567893"\n[http]\nport = 1\n')) == [(1, "npi")]


def test_a_missing_key_is_told_at_its_section(written: Write) -> None:
    assert faults(written('[http]\n\n[[payers]]\nname = "a"\n')) == [(3, "payers[0].url")]


def test_a_file_that_is_not_toml_is_told_with_its_line(written: Write) -> None:
    assert faults(written("[http]\nport 8080\n")) == [(2, "")]


def test_a_file_that_is_not_text_is_a_fault_and_no_crash(written: Write) -> None:
    path = written(b'[site]\nname = "\xff\xfe"\n')

    assert faults(path) == [(0, "")]
    assert "UTF-8" in text_of(path)


def test_a_missing_file_is_a_fault_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.toml"

    assert faults(path) == [(0, "")]
    assert "No such file" in text_of(path)


def test_a_folder_in_the_place_of_the_file_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path) == [(0, "")]


@pytest.mark.parametrize("url", ["sqlite:///", "postgresql://db/ledger", "ledger.db", ""])
def test_a_store_that_is_no_sqlite_file_is_a_fault(written: Write, url: str) -> None:
    assert faults(written(f'[store]\nurl = "{url}"\n')) == [(2, "store.url")]


def test_settings_errors_never_show_a_token(written: Write) -> None:
    path = written('[[payers]]\nname = "a"\nurl = "https://p.example"\ntoken = "SECRET-1"\n')

    assert "SECRET-1" not in text_of(path)


def test_a_file_that_says_nothing_is_all_defaults(written: Write) -> None:
    assert read_settings(written("")) == Settings()


# --- paths


def test_relative_paths_are_taken_from_the_files_folder(written: Write, tmp_path: Path) -> None:
    text = '[tables]\ndir = "maps"\n[store]\nurl = "sqlite:///data/l.db"\n'
    text += '[[feeds]]\nname = "in"\nkind = "folder"\npath = "in"\n'

    settings = load_settings(written(text))

    (feed,) = settings.feeds
    assert isinstance(feed, FolderFeed)
    assert (settings.tables.dir, settings.store_path(), feed.path) == (
        tmp_path / "maps",
        tmp_path / "data" / "l.db",
        tmp_path / "in",
    )


def test_absolute_paths_stay(written: Write) -> None:
    settings = load_settings(written('[tables]\ndir = "/maps"\n[store]\nurl = "sqlite:////data/l.db"\n'))

    assert (settings.tables.dir, settings.store_path()) == (Path("/maps"), Path("/data/l.db"))


def test_the_sites_tables_stand_before_the_shipped_ones(written: Write, tmp_path: Path) -> None:
    both = load_settings(written('[tables]\ndir = "maps"\n'))
    own = load_settings(written('[tables]\ndir = "maps"\nshipped = false\n'))

    assert both.table_folders() == (tmp_path / "maps", shipped("mappings"))
    assert own.table_folders() == (tmp_path / "maps",)


def test_the_file_of_this_folder_is_read_where_none_is_named(
    written: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written('[site]\nname = "Here"\n').rename(tmp_path / "fhir-coder.toml")
    monkeypatch.chdir(tmp_path)

    assert load_settings().site.name == "Here"


def test_without_any_file_the_example_site_holds_with_the_ledger_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    settings = load_settings()

    assert settings.site.name == "Lakeshore Community Health Center"
    assert settings.store_path() == tmp_path / "fhir-coder.db"
    assert settings.table_folders()[0].is_dir()


# --- writing


@pytest.mark.parametrize("make", [lambda: read_settings(EXAMPLE_SETTINGS), example_settings, Settings])
def test_settings_written_as_toml_read_back_to_the_same(make: Callable[[], Settings], written: Write) -> None:
    settings = make()

    assert read_settings(written(to_toml(settings))) == settings


def test_tables_listed_within_a_table_survive_the_writing(written: Write) -> None:
    split = (
        SplitSettings(kind="professional", charges=("LAB-*",)),
        SplitSettings(kind="institutional", charges=("ER-*",)),
    )
    settings = Settings(billing=BillingSettings(split=split))

    assert read_settings(written(to_toml(settings))) == settings


def test_names_of_any_script_and_keys_of_any_sign_survive_the_writing(written: Write) -> None:
    site = SiteSettings(name='Klinik "Süd" 🏥\\\n', place_of_service={"A B.C": "11", "Ä": "12"})
    settings = Settings(site=site)

    assert read_settings(written(to_toml(settings))) == settings


# --- values for the other rooms


def test_a_site_is_what_the_claims_room_knows(written: Write) -> None:
    site = read_settings(EXAMPLE_SETTINGS).site.value()

    assert (site.npi, site.currency, site.claim_types["IMP"]) == ("1234567893", "USD", "institutional")
    assert site.address == Address(("1 Harbor Street",), "Lakeshore", "IL", "60000", "US")


def test_a_payer_without_a_list_of_authorised_codes_is_not_one_with_an_empty_list() -> None:
    def payer(**said: object) -> PayerSettings:
        return PayerSettings.model_validate({"name": "a", "url": "https://p.example"} | said)

    assert payer().value().prior_auth_codes is None
    assert payer(prior_auth_codes=[]).value().prior_auth_codes == frozenset()


def test_a_token_comes_from_the_environment_and_not_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    payer = PayerSettings(name="a", url="https://p.example", auth="bearer", secret_env="A_TOKEN")
    monkeypatch.setenv("A_TOKEN", "from-the-environment")

    assert payer.secret() == "from-the-environment"
    assert PayerSettings(name="a", url="https://p.example").secret() == ""
    assert "from-the-environment" not in to_toml(Settings(payers=(payer,)))


# --- faults that show only when the settings are used

TAKEN = """\
[http]
port = 0

[[feeds]]
name = "web"
kind = "http"
token_env = "NO_SUCH_TOKEN"

[[feeds]]
name = "adt"
kind = "mllp"
port = PORT
"""


def test_a_fault_at_the_start_names_the_file_the_line_and_the_feed(written: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = written(TAKEN.replace("PORT", str(taken.getsockname()[1])))
        with pytest.raises(SettingsError) as caught:
            bind_all(load_settings(path))

    told = [f"{path}:12: feeds[1].port (adt): port", f"{path}:7: feeds[0].token_env (web): the environment variable"]
    title, *faults = str(caught.value).splitlines()
    assert title == f"nothing was started: {path} has 2 faults:"
    assert [fault[: len(start)] for fault, start in zip(faults, told, strict=True)] == told


def test_the_workers_process_knows_the_file_of_the_settings(written: Write) -> None:
    path = written('[[feeds]]\nname = "web"\nkind = "http"\n')
    settings = Settings.from_line(load_settings(path).to_line())

    assert str(settings.fault(("feeds", 0, "rules"), "no")) == f"{path}:1: feeds[0].rules (web): no"
    assert settings == load_settings(path)


def test_settings_that_were_not_read_from_a_file_have_faults_all_the_same() -> None:
    assert str(Settings().fault(("http", "port"), "no")) == "the set of settings: http.port: no"
