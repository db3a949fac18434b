"""Submissions that wait for the desk: it takes all that are there at once, and closes its books once for all of them.

Each is on the disk before it is answered. A flush costs the same for one claim as for twenty.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_coder.payers.sandbox.desk import Desk, Post, Reply


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Submissions that came together, and who waits for their answers."""

    posts: Sequence[Post]
    fault: str
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[list[Reply]]


class Intray:
    """Takes submissions from the event loop to the desk, which works on a thread of its own."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what waits, and take nothing more."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()

    async def submit(self, posts: Sequence[Post], fault: str = "") -> list[Reply]:
        """What the desk says to submissions. `fault` names what the sender will see instead of the answer."""
        loop = asyncio.get_running_loop()
        one = _Waiting(posts, fault, loop, loop.create_future())
        with self._changed:
            self._waiting.append(one)
            self._changed.notify()
        return await one.answer

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_over:
                    self._changed.wait()
                together, self._waiting = self._waiting, []
            if not together:
                return
            self._take(together)

    def _take(self, together: Sequence[_Waiting]) -> None:
        """Take what waits, all at once; where that fails, one by one: what fails is nobody else's fault."""
        try:
            replies = self._desk.submit_all([(post, one.fault) for one in together for post in one.posts])
        except Exception as error:
            if len(together) == 1:
                _call(together[0], together[0].answer.set_exception, error)
            else:
                for one in together:
                    self._take([one])
            return
        left = iter(replies)
        for one in together:
            _call(one, one.answer.set_result, [next(left) for _ in one.posts])


def _call(one: _Waiting, settle: object, said: object) -> None:
    """Settle a future on its loop, unless its client has gone."""
    one.loop.call_soon_threadsafe(lambda: None if one.answer.done() else settle(said))  # type: ignore[operator]  # set_result or set_exception
