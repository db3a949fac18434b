"""What became of the claims of each day and payer: counts, money, days to answer; as rows, CSV, JSON and a page."""

from __future__ import annotations

from fhir_coder.report.charts import legend, svg
from fhir_coder.report.figures import Figures, Report, ReportRow, make_report
from fhir_coder.report.page import charts_of, report_page
from fhir_coder.report.wire import COLUMNS, MONEY, report_csv, report_json, shown

__all__ = [
    "COLUMNS",
    "MONEY",
    "Figures",
    "Report",
    "ReportRow",
    "charts_of",
    "legend",
    "make_report",
    "report_csv",
    "report_json",
    "report_page",
    "shown",
    "svg",
]
