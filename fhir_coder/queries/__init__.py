"""What the commands and pages ask the ledger: lists, and one thing with its whole story."""

from __future__ import annotations

from fhir_coder.queries.answers import answer_body, list_answers
from fhir_coder.queries.charts import (
    ChartSearch,
    ChartStory,
    Verified,
    chart_keys_of_feed,
    chart_story,
    keys_to_verify,
    list_charts,
    verify,
)
from fhir_coder.queries.claims import (
    ClaimSearch,
    ClaimStory,
    Ordered,
    charts_made_with,
    claim_story,
    list_claims,
    order_claims,
    recode_charts,
    request_claims,
    submission_of,
)
from fhir_coder.queries.messages import MessageSearch, MessageStory, list_messages, message_named, message_story

__all__ = [
    "ChartSearch",
    "ChartStory",
    "ClaimSearch",
    "ClaimStory",
    "MessageSearch",
    "MessageStory",
    "Ordered",
    "Verified",
    "answer_body",
    "chart_keys_of_feed",
    "chart_story",
    "charts_made_with",
    "claim_story",
    "keys_to_verify",
    "list_answers",
    "list_charts",
    "list_claims",
    "list_messages",
    "message_named",
    "message_story",
    "order_claims",
    "recode_charts",
    "request_claims",
    "submission_of",
    "verify",
]
