"""Where a setting stands in its TOML file."""

from __future__ import annotations

import re
from collections.abc import Sequence

Key = str | int


def path_of(keys: Sequence[Key]) -> str:
    """Keys as one path: `feeds[0].port`."""
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")


def line_of(text: str, keys: Sequence[Key]) -> int:
    """The line of a key, or of the nearest section or key above it that is there; 0 where there is none."""
    path = [str(k) for k in keys if not isinstance(k, int)]
    position = next((k for k in keys if isinstance(k, int)), 0)
    best, table, seen = 0, list[str](), -1
    is_inside = len(path) == 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[\[?)([\w.-]+)\]", line)
        if header:
            table = header[2].split(".")
            seen += table == path[:1] and header[1] == "[["
            is_inside = table == path[: len(table)] and seen in (-1, position)
            best = number if is_inside else best
        elif (
            is_inside
            and len(table) < len(path)
            and re.match(rf"""\s*["']?{re.escape(path[len(table)])}["']?\s*=""", line)
        ):
            return number
    return best
