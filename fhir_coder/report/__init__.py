"""What became of the claims of each day and payer: counts, money, days to answer; as rows, CSV, JSON and a page."""

from __future__ import annotations

from fhir_coder.report.figures import Figures, Report, ReportRow, make_report
from fhir_coder.report.page import report_page
from fhir_coder.report.wire import COLUMNS, report_csv, report_json, shown

__all__ = [
    "COLUMNS",
    "Figures",
    "Report",
    "ReportRow",
    "make_report",
    "report_csv",
    "report_json",
    "report_page",
    "shown",
]
