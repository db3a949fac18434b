"""The ledger: every message, chart, claim, attempt, work item and event, in one database."""

from fhir_coder.store import worklist_schema as _worklist_schema  # noqa: F401 - its tables belong to the metadata
from fhir_coder.store.ledger import Ledger, open_ledger

__all__ = ["Ledger", "open_ledger"]
