"""Bearer tokens: from the environment or from a file of the service's own, never from the settings file."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_token(env: str, file: Path | None) -> str:
    """The token of an environment variable or a file, empty where neither is named.

    Raises ValueError, with the reason and never the token, where what is named holds no token or others may read it.
    """
    if env:
        return _usable(os.environ.get(env, ""), f"the environment variable {env} is not set")
    return _usable(owned_text(file).strip(), "the file is empty") if file else ""


def owned_text(file: Path) -> str:
    """The text of a file that only its owner may read. Raises ValueError with the reason, never with the text."""
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="ascii")
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError("the file is not plain ASCII text") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError("the file may be read by others: chmod 600")
    return text


def _usable(token: str, otherwise: str) -> str:
    if not token:
        raise ValueError(otherwise)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token has blanks or characters beyond ASCII")
    return token
