"""What a FHIR request files: at the desk, beside what others hand in."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import func, select

from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.model import Header, MessageFormat
from fhir_coder.store import open_ledger
from fhir_coder.store.fhir_resources import Asked, Interaction
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import fhir_identifiers, fhir_resources, messages

PATIENT = Header(MessageFormat.FHIR, "Patient")


def put(resource_id: str, body: bytes, *identifiers: str) -> Asked:
    one = Interaction("PUT", "Patient", "Patient", resource_id, identifiers)
    return Asked(Incoming("ehr", PATIENT, body), (one,))


def test_a_request_that_cannot_be_filed_is_told_so_and_the_others_of_the_commit_are_kept(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db")
    broken = Asked(Incoming("ehr", cast(Header, None), b"{}"))
    with ledger.writing():  # what is handed in meanwhile waits for one commit
        desk = IntakeDesk(ledger, lambda: None)
        good, bad, plain = (
            desk.file([put("p1", b"1")]),
            desk.file([broken]),
            desk.keep_together([put("x", b"2").incoming]),
        )
    assert good.result(10)[0].done[0].version == 1
    with pytest.raises(AttributeError):
        bad.result(10)
    assert len(plain.result(10)) == 1
    desk.close()
    with ledger.reading() as connection:
        assert connection.execute(select(func.count()).select_from(messages)).scalar_one() == 2
    ledger.close()


def test_only_the_newest_version_and_its_identifiers_by_keyed_hash_are_kept(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db")
    desk = IntakeDesk(ledger, lambda: None)
    versions = [
        desk.file([put("p1", body, *pairs)]).result(10)[0].done[0].version
        for body, pairs in ((b"1", ("urn:mrn|A-1", "urn:x|A-2")), (b"2", ("urn:mrn|A-1",)), (b"2", ("urn:mrn|A-1",)))
    ]
    desk.close()
    assert versions == [1, 2, 2]
    with ledger.reading() as connection:
        assert [(r.id, r.version) for r in connection.execute(select(fhir_resources))] == [("p1", 2)]
        [known] = connection.execute(select(fhir_identifiers)).all()
    assert len(known.digest) == 32
    assert "A-1" not in known.digest
    ledger.close()
