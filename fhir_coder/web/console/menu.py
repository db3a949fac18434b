"""The console's menu."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the menu. `key` is pressed after `g` to go there."""

    title: str
    path: str
    key: str


MENU: tuple[Entry, ...] = (
    Entry("Today", "/", "t"),
    Entry("Worklist", "/worklist", "w"),
    Entry("Claims", "/claims", "c"),
    Entry("Charts", "/charts", "h"),
    Entry("Messages", "/messages", "m"),
    Entry("Report", "/report", "r"),
    Entry("Tables", "/tables", "b"),
    Entry("Feeds", "/feeds", "f"),
    Entry("Payers", "/payers", "p"),
    Entry("Settings", "/settings", "s"),
)
"""The pages in the order of the menu: a coder's first, then what they look things up in, then the engineer's."""


def entry_of(path: str) -> Entry | None:
    """The entry that a page's path (without the console's prefix) belongs to."""
    found = [e for e in MENU if path == e.path or (e.path != "/" and path.startswith(f"{e.path}/"))]
    return max(found, key=lambda e: len(e.path), default=None)
