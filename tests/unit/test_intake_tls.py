"""TLS files of a listener: every fault named, by setting and reason, before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fhir_coder.client import NotReachableError, client_tls, mllp_address
from fhir_coder.intake.tls import Certificates, TlsFilesError, names_in, tls_faults
from fhir_coder.settings import MllpFeed
from tests.certificates import Authority


def feed(**settings: Any) -> MllpFeed:
    return MllpFeed.model_validate({"name": "wire", "kind": "mllp", "port": 0, **settings})


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Path]:
    authority = Authority(tmp_path)
    cert, key = authority.issue("listener")
    return {"tls_cert": cert, "tls_key": key, "tls_client_ca": authority.ca}


def test_files_that_fit_have_no_faults(good: dict[str, Path]) -> None:
    assert tls_faults(feed(**good)) == []
    assert tls_faults(feed()) == []


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    names = ("tls_cert", "tls_key", "tls_client_ca")
    faults = tls_faults(feed(**{name: tmp_path / f"{name}.pem" for name in names}))

    assert [key for key, _ in faults] == list(names)
    assert all("No such file" in text for _, text in faults)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666])
def test_a_key_that_everyone_may_read_is_a_fault(good: dict[str, Path], mode: int) -> None:
    good["tls_key"].chmod(mode)

    assert [(key, "everyone" in text) for key, text in tls_faults(feed(**good))] == [("tls_key", True)]


def test_a_key_for_a_group_is_none(good: dict[str, Path]) -> None:
    good["tls_key"].chmod(0o640)

    assert tls_faults(feed(**good)) == []


def test_a_key_of_another_certificate_is_a_fault(good: dict[str, Path], tmp_path: Path) -> None:
    other = Authority(tmp_path, "other").issue("elsewhere")[1]

    [(key, text)] = tls_faults(feed(**good | {"tls_key": other}))
    assert key == "tls_key"
    assert text.endswith("is not the key of tls_cert")


def test_a_key_with_a_passphrase_is_a_fault_and_nobody_is_asked(good: dict[str, Path], tmp_path: Path) -> None:
    cert, key = Authority(tmp_path, "locked").issue("locked-listener", passphrase=b"secret")

    [(where, text)] = tls_faults(feed(**good | {"tls_cert": cert, "tls_key": key}))
    assert where == "tls_key"
    assert "passphrase" in text


@pytest.mark.parametrize("name", ["tls_cert", "tls_key", "tls_client_ca"])
def test_a_file_with_other_content_is_a_fault(good: dict[str, Path], name: str) -> None:
    good[name].write_text("-----BEGIN NOTHING-----\n")

    assert [key for key, _ in tls_faults(feed(**good))] == [name]


def test_a_folder_in_place_of_a_file_is_a_fault(good: dict[str, Path], tmp_path: Path) -> None:
    assert [key for key, _ in tls_faults(feed(**good | {"tls_cert": tmp_path}))] == ["tls_cert"]


def test_faulty_files_start_no_listener(good: dict[str, Path]) -> None:
    good["tls_cert"].unlink()

    with pytest.raises(TlsFilesError, match="tls_cert"):
        Certificates(feed(**good), "f")


@contextmanager
def settings_fault(text: str) -> Iterator[None]:
    with pytest.raises(ValidationError, match=text):
        yield


def test_settings_that_do_not_go_together_are_faults() -> None:
    with settings_fault("tls_cert and tls_key go together"):
        feed(tls_cert="a.pem")
    with settings_fault("tls_client_ca needs"):
        feed(tls_client_ca="ca.pem")
    with settings_fault("allow_names needs tls_client_ca"):
        feed(tls_cert="a.pem", tls_key="a.key", allow_names=["ehr"])
    with settings_fault("addresses or networks"):
        feed(allow=["10.0.0.0/8", "hospital.example"])


def test_a_certificate_has_its_common_name_and_its_alternative_names() -> None:
    certificate = {
        "subject": ((("countryName", "US"),), (("commonName", "EHR"),)),
        "subjectAltName": (("DNS", "Ehr.Example"), ("IP Address", "10.0.0.1")),
    }

    assert names_in(certificate) == {"ehr", "ehr.example", "10.0.0.1"}
    assert names_in({}) == set()


@pytest.mark.parametrize("url", ["mllp://host:1", "mllps://host:1"])
def test_addresses_say_whether_tls_is_spoken(url: str) -> None:
    address = mllp_address(url)

    assert (address.scheme, address.host, address.port) == (url.split(":", maxsplit=1)[0], "host", 1)


@pytest.mark.parametrize("url", ["", "http://host:1", "mllp://host", "mllps://:1", "mllp://host:x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(NotReachableError):
        mllp_address(url)


def test_a_client_names_the_file_that_it_cannot_use(good: dict[str, Path], tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")

    with pytest.raises(NotReachableError, match=r"nothing\.pem"):
        client_tls(nothing)
    with pytest.raises(NotReachableError, match=r"listener\.pem, .*nothing\.pem"):
        client_tls(good["tls_client_ca"], good["tls_cert"], nothing)
