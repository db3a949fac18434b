"""Settings back to a TOML file."""

from __future__ import annotations

import json
import re
from typing import Any

from fhir_coder.settings.root import Settings


def to_toml(settings: Settings) -> str:
    """Settings as a TOML file that reads back to the same."""
    lines: list[str] = []
    _write_table(lines, "", settings.model_dump(mode="json", exclude_none=True, by_alias=True))
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _write_table(lines: list[str], name: str, table: dict[str, Any]) -> None:
    tables = {k: v for k, v in table.items() if isinstance(v, dict)}
    arrays = {k: v for k, v in table.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    for key, value in table.items():
        if key not in tables and key not in arrays:
            # JSON's scalars and flat lists are TOML's too, but not its surrogate pairs.
            lines.append(f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}")
    for key, value in tables.items():
        path = f"{name}.{key}".lstrip(".")
        lines += ["", f"[{path}]"]
        _write_table(lines, path, value)
    for key, entries in arrays.items():
        path = f"{name}.{key}".lstrip(".")
        for entry in entries:
            lines += ["", f"[[{path}]]"]
            _write_table(lines, path, entry)
