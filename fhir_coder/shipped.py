"""Where the tables, code sets, fixtures and example settings that ship with the program are."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """The folder `mappings` or `fixtures`: inside the installed package, or at the top of a source checkout."""
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


EXAMPLE_SETTINGS = _PACKAGE / "example" / "fhir-coder.toml"
"""The commented settings of the example site: what `init` writes and what holds where there is no file."""
EXAMPLE_TABLES = "example-site"
"""The example site's tables, a folder below `mappings`."""
