"""A FHIR R4 payer to test against: it takes, checks, adjudicates and keeps claims, and fails on demand.

It is a program of its own, not a mock: it speaks HTTP, keeps its books in SQLite and drops real connections.
"""

from __future__ import annotations

from fhir_coder.payers.sandbox.adjudicate import RULES_TEXT, Rules
from fhir_coder.payers.sandbox.app import create_app
from fhir_coder.payers.sandbox.faults import FAULT_GRAMMAR, PlannedFault, parse_faults
from fhir_coder.payers.sandbox.server import running, serve

__all__ = ["FAULT_GRAMMAR", "RULES_TEXT", "PlannedFault", "Rules", "create_app", "parse_faults", "running", "serve"]
