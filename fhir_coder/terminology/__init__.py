"""Mapping tables, the rules that choose a row, and the code sets that say whether a code is valid on a date."""

from __future__ import annotations

from fhir_coder.terminology.check import check_tables
from fhir_coder.terminology.codesets import CodeSets, open_codesets
from fhir_coder.terminology.csv_table import load_table
from fhir_coder.terminology.loading import load_tables
from fhir_coder.terminology.tables import Tables, TableSummary

__all__ = ["CodeSets", "TableSummary", "Tables", "check_tables", "load_table", "load_tables", "open_codesets"]
