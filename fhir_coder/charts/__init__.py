"""Facts to a chart: everything that all messages say about one visit, in the order of events.

Repeats, removals, credits, cancels, merges and moves are resolved here. It never reads the clock or the ledger.
"""

from fhir_coder.charts.billing import (
    INPATIENT_CLASSES,
    ChartStatus,
    billing_order,
    chart_status,
    is_open,
    is_stay,
)
from fhir_coder.charts.decided import choice_of, decision_about, story_of, words_of
from fhir_coder.charts.fold import ChartFold, fold_chart
from fhir_coder.charts.stakes import stakes_of_visit
from fhir_coder.charts.timeline import ChartChange, TimelineEntry, timeline
from fhir_coder.charts.topics import topics_reached
from fhir_coder.charts.wire import chart_to_bytes, chart_to_json, different_paths

__all__ = [
    "INPATIENT_CLASSES",
    "ChartChange",
    "ChartFold",
    "ChartStatus",
    "TimelineEntry",
    "billing_order",
    "chart_status",
    "chart_to_bytes",
    "chart_to_json",
    "choice_of",
    "decision_about",
    "different_paths",
    "fold_chart",
    "is_open",
    "is_stay",
    "stakes_of_visit",
    "story_of",
    "timeline",
    "topics_reached",
    "words_of",
]
