"""Feed hooks: a site's own code for what feed rules cannot say, found by entry point."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from fhir_coder.errors import UnreadableError
from fhir_coder.logs import error_place
from fhir_coder.model import MessageFacts
from fhir_coder.pipeline import FeedHook
from fhir_coder.settings import Settings
from fhir_coder.settings.rules import HOOKS


def load_hooks(settings: Settings) -> dict[str, FeedHook]:
    """The hooks of the feeds that have one, by feed. Raises SettingsError for each that cannot be loaded."""
    hooks: dict[str, FeedHook] = {}
    faults = []
    for index, feed in enumerate(settings.feeds):
        name = feed.rules.hook
        if not name:
            continue
        try:
            found = _loaded(name)
        except Exception as error:
            text = f"hook {name!r} cannot be loaded: {type(error).__name__} at {error_place(error)}"
            faults.append(settings.fault(("feeds", index, "rules", "hook"), text))
            continue
        hooks[feed.name] = partial(_guarded, name, found)
    if faults:
        raise settings.refused(faults)
    return hooks


def _loaded(name: str) -> Callable[[MessageFacts, bytes], Any]:
    hook = next(iter(entry_points(group=HOOKS, name=name))).load()
    if not callable(hook):
        raise TypeError("a hook is a callable of (MessageFacts, bytes)")
    found: Callable[[MessageFacts, bytes], Any] = hook
    return found


def _guarded(name: str, hook: Callable[[MessageFacts, bytes], Any], facts: MessageFacts, body: bytes) -> MessageFacts:
    """What a hook makes of a message. Raises UnreadableError with the place of its fault, never with its words."""
    try:
        said = hook(facts, body)
    except Exception as error:
        place = f"{type(error).__name__} at {error_place(error)}"
        raise UnreadableError("", "feed_hook", f"the feed's hook {name} failed: {place}") from None
    if not isinstance(said, MessageFacts) or said.message != facts.message:
        raise UnreadableError("", "feed_hook", f"the feed's hook {name} did not answer the facts of this message")
    return said
