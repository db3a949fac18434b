"""Logs hold ids, counts and fixed words only: what is not allow-listed does not come out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from fhir_coder.logs import ALLOWED_KEYS, configure_logs, error_place, log, only_allowed_keys

POISON = "Poisonname"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, ours = logging.getLogger(), logging.getLogger("fhir_coder")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def failing() -> None:
    patient = POISON
    raise ValueError(f"no such patient: {patient}")


def failed() -> ValueError:
    try:
        failing()
    except ValueError as error:
        return error
    raise AssertionError


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_keys_that_are_not_allow_listed_are_dropped() -> None:
    event = {"event": "claim_sent", "claim_id": "01C", "patient": POISON, "body": POISON, "exc_info": True}

    assert only_allowed_keys(None, "info", event) == {"event": "claim_sent", "claim_id": "01C"}


def test_no_allow_listed_key_is_made_for_what_a_message_says() -> None:
    assert not ALLOWED_KEYS & {"body", "text", "value", "name", "patient", "chart_key", "exc_info", "exception", "url"}


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_poison_value_in_an_exception_does_not_come_out(style: str, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(style, "debug")
    error = failed()

    log.error("work_failed", error=type(error).__name__, where=error_place(error), detail=str(error))
    try:
        failing()
    except ValueError:
        log.exception("work_failed", stage="read")
        log.error("work_failed", exc_info=True, stack_info=True)
    log.bind(patient=POISON).info("message_read", message_id="01M")
    log.info("message %s read", POISON)

    out, err = capfd.readouterr()
    assert out == ""
    assert POISON not in err
    assert "ValueError" in err
    assert "test_logs.failing:" in err


def test_a_json_line_has_event_level_and_utc_time(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("json", "info")

    log.info("claim_sent", claim_id="01C", attempt=2)

    (line,) = lines(capfd.readouterr().err)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "claim_sent", "level": "info", "claim_id": "01C", "attempt": 2}


def test_the_level_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("json", "warning")

    log.info("message_read")
    log.warning("payer_slow")

    assert [line["event"] for line in lines(capfd.readouterr().err)] == ["payer_slow"]


@pytest.mark.parametrize("library", ["sqlalchemy.engine", "urllib3", "a.library.of.tomorrow", "root"])
def test_lines_of_libraries_do_not_come_out_whatever_library_it_is(
    library: str, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logs("json", "debug")

    logging.getLogger("" if library == "root" else library).error("INSERT INTO patients %s", POISON)

    assert capfd.readouterr().err == ""


def test_the_place_of_an_error_is_where_it_was_raised_and_not_its_text() -> None:
    place = error_place(failed())

    assert place.split(":")[0].endswith("test_logs.failing")
    assert POISON not in place
    assert error_place(ValueError(POISON)) == ""
