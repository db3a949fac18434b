"""A FHIR R4 payer to test against: it takes, checks, adjudicates and keeps claims, and fails on demand.

It is a program of its own, not a mock: it speaks HTTP, keeps its books in SQLite and drops real connections.
"""

from __future__ import annotations

from fhir_coder.payers.sandbox.app import create_app
from fhir_coder.payers.sandbox.dialect import DIALECTS
from fhir_coder.payers.sandbox.faults import FAULT_GRAMMAR, PlannedFault, parse_faults
from fhir_coder.payers.sandbox.rules import RULES_TEXT, Client, Member, Rules
from fhir_coder.payers.sandbox.rules_file import read_rules
from fhir_coder.payers.sandbox.server import running, server_of
from fhir_coder.payers.sandbox.tls import TlsFiles

__all__ = [
    "DIALECTS",
    "FAULT_GRAMMAR",
    "RULES_TEXT",
    "Client",
    "Member",
    "PlannedFault",
    "Rules",
    "TlsFiles",
    "create_app",
    "parse_faults",
    "read_rules",
    "running",
    "server_of",
]
