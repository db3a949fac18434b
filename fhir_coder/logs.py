"""Structured logs on standard error: fixed events, allow-listed keys, no frame locals.

Keys that are not listed here are dropped, so that a value of a message cannot slip into a log line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED_KEYS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "feed",
        "kind",
        "payer",
        "stage",
        "status",
        "outcome",
        "reason",
        "http_status",
        "message_id",
        "claim_id",
        "work_item",
        "attempt",
        "gaps",
        "findings",
        "messages",
        "claims",
        "ack",
        "bytes",
        "file",
        "host",
        "port",
        "error",
        "where",
        "seconds",
        "version",
        "rows",
        "tables",
        "declared",
        "found",
    }
)
"""Every key a log line may have: ids of our own, fixed codes, counts."""

log = structlog.stdlib.get_logger("fhir_coder")


def only_allowed_keys(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: drop every key that is not allow-listed."""
    return {key: value for key, value in event.items() if key in ALLOWED_KEYS}


def error_name(error: BaseException) -> str:
    """The class of an exception and, where SQLite knows it, the fault's name (SQLITE_FULL: the disk is full)."""
    known = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
    return f"{type(error).__name__} {known}".rstrip()


def error_place(error: BaseException) -> str:
    """Where an exception was raised, without its text: texts may hold values. `module.function:line`."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next:
        trace = trace.tb_next
    frame = trace.tb_frame
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}:{trace.tb_lineno}"


class _LineOnly(logging.Formatter):
    """The line as rendered; a traceback, which logging adds below it, would show the exception's text."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


def configure_logs(style: str, level: str) -> None:
    """Send log lines to standard error as `console` or `json`."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    # The libraries' own lines may hold URLs, bodies and values: whatever library it is, only ours are written.
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(logging.Filter("fhir_coder"))
    handler.setFormatter(_LineOnly())
    logging.basicConfig(handlers=[handler], level=logging.CRITICAL, force=True)
    logging.getLogger("fhir_coder").setLevel(level.upper())
    for noisy in ("urllib3", "uvicorn", "uvicorn.access", "alembic", "watchfiles", "asyncio", "hl7apy"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed_keys,
            renderer,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
