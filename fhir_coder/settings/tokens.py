"""Secrets: from the environment, a file of the service's own or a keyring, never from the settings file."""

from __future__ import annotations

import os
import stat
from importlib import import_module
from pathlib import Path


def read_token(env: str, file: Path | None, keyring: str = "") -> str:
    """The secret of an environment variable, a file or a keyring entry (`service/user`), empty where none is named.

    Raises ValueError, with the reason and never the secret, where what is named holds none or others may read it.
    """
    if env:
        return _usable(os.environ.get(env, ""), f"the environment variable {env} is not set")
    if file:
        return _usable(owned_text(file).strip(), "the file is empty")
    return _usable(_from_keyring(*keyring.split("/", 1)), "the keyring has no such entry") if keyring else ""


def _from_keyring(service: str, user: str) -> str:
    try:
        library = import_module("keyring")  # loaded only where a secret is in a keyring
        found = library.get_password(service, user)
    except ImportError:
        raise ValueError("keyrings need the extra: pip install 'fhir_coder[keyring]'") from None
    except Exception as error:  # each backend has errors of its own
        raise ValueError(f"the keyring cannot be read: {type(error).__name__}") from None
    return found or ""


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
