"""What the commands and pages ask the ledger: lists, and one thing with its whole story."""

from __future__ import annotations

from fhir_coder.queries.claims import ClaimStory, claim_story, list_claims, resubmit
from fhir_coder.queries.messages import MessageSearch, MessageStory, list_messages, message_named, message_story

__all__ = [
    "ClaimStory",
    "MessageSearch",
    "MessageStory",
    "claim_story",
    "list_claims",
    "list_messages",
    "message_named",
    "message_story",
    "resubmit",
]
