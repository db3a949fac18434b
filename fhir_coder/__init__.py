"""FHIR/HL7 integration adapter: a raw feed in, coded and checked FHIR Claims at the payer.

from fhir_coder import App, convert
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_coder.app import App, convert

__version__ = "0.1.0"
__all__ = ["App", "__version__", "convert"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: `fhir-coder --help` and the pure rooms need no ledger and no server.
    if name in ("App", "convert"):
        from fhir_coder import app

        return getattr(app, name)
    raise AttributeError(f"module 'fhir_coder' has no attribute {name!r}")
