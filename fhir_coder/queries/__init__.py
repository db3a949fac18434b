"""What the commands and pages ask the ledger: lists, and one thing with its whole story."""

from __future__ import annotations

from fhir_coder.queries.charts import (
    ChartSearch,
    ChartStory,
    Verified,
    chart_story,
    keys_to_verify,
    list_charts,
    verify,
)
from fhir_coder.queries.claims import ClaimStory, claim_story, list_claims, request_claims, resubmit
from fhir_coder.queries.messages import MessageSearch, MessageStory, list_messages, message_named, message_story

__all__ = [
    "ChartSearch",
    "ChartStory",
    "ClaimStory",
    "MessageSearch",
    "MessageStory",
    "Verified",
    "chart_story",
    "claim_story",
    "keys_to_verify",
    "list_charts",
    "list_claims",
    "list_messages",
    "message_named",
    "message_story",
    "request_claims",
    "resubmit",
    "verify",
]
