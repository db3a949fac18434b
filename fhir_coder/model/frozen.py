"""Dataclasses that are frozen to the type checker, and cheap to make at run time.

`@dataclass(frozen=True)` stores each field by `object.__setattr__`: five times the cost of a plain store, and half of
the time that reading a message took. Here mypy sees the frozen dataclass, so that no line of this program can change a
value; at run time it is a dataclass with slots, equality, hash and `replace` that stores plainly. The test suite lets
no value change either (tests/conftest.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

VALUES: list[type] = []
"""Every class made here."""

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(*, frozen, slots, order=False):
        """Make a class of values: `@dataclass(frozen=True, slots=True)`."""
        if not (frozen and slots):
            raise TypeError("values are frozen and have slots")

        def made(kind):
            # Equal values have one hash, as those of a frozen dataclass do.
            value = dataclasses.dataclass(slots=True, unsafe_hash=True, order=order)(kind)
            VALUES.append(value)
            return value

        return made


__all__ = ["VALUES", "dataclass"]
