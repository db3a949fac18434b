"""A payload in a person's own editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from fhir_coder.errors import FhirCoderError


def edited(body: bytes) -> bytes:
    """What a person makes of a payload in $VISUAL or $EDITOR (vi where neither is set).

    The file stands in a folder that only this user can open, and goes with it. Raises FhirCoderError where the editor
    fails.
    """
    # Segments end in CR alone: as such an editor shows the whole message as one line.
    ends_in_cr = b"\r" in body and b"\n" not in body
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="fhir-coder-") as folder:  # made with mode 700
        file = Path(folder) / ("message.json" if body.lstrip().startswith(b"{") else "message.hl7")
        file.write_bytes(body.replace(b"\r", b"\n") if ends_in_cr else body)
        try:
            done = subprocess.run([*words, str(file)], check=False)
        except OSError as error:
            raise FhirCoderError(f"{words[0]}: {error.strerror}: set $EDITOR, or use --with FILE") from None
        if done.returncode:
            raise FhirCoderError(f"{words[0]} ended with status {done.returncode}: nothing is filed")
        made = file.read_bytes()
    return made.replace(b"\r\n", b"\n").replace(b"\n", b"\r") if ends_in_cr else made
