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
    has_claims_to,
    list_claims,
    order_claims,
    recode_charts,
    request_claims,
    submission_of,
)
from fhir_coder.queries.messages import MessageSearch, MessageStory, list_messages, message_named, message_story
from fhir_coder.queries.today import Denials, FeedPulse, FlowStep, PayerPulse, Pulse, denials_since, newest, pulse

__all__ = [
    "ChartSearch",
    "ChartStory",
    "ClaimSearch",
    "ClaimStory",
    "Denials",
    "FeedPulse",
    "FlowStep",
    "MessageSearch",
    "MessageStory",
    "Ordered",
    "PayerPulse",
    "Pulse",
    "Verified",
    "answer_body",
    "chart_keys_of_feed",
    "chart_story",
    "charts_made_with",
    "claim_story",
    "denials_since",
    "has_claims_to",
    "keys_to_verify",
    "list_answers",
    "list_charts",
    "list_claims",
    "list_messages",
    "message_named",
    "message_story",
    "newest",
    "order_claims",
    "pulse",
    "recode_charts",
    "request_claims",
    "submission_of",
    "verify",
]
