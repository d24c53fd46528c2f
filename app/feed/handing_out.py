"""Handing out what has come: those who read first, in steps that let everything else have its turn."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Never

from app.feed.audience import earliest_fresh
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.feed.audience import Audience, Listener

# Listeners that are served in one turn of the loop: about half a millisecond, most of it system calls.
_AT_ONCE = 64


class HandingOut:
    """Serves the listeners of audiences that have got something.

    Who leaves pings unanswered stands in a queue behind the others, in which each has one place. It moves up
    by one step each time that all others are served, so nobody waits for ever.
    """

    def __init__(self) -> None:
        self._news: dict[Audience, None] = {}
        self._late: OrderedDict[Listener, None] = OrderedDict()
        self._something = asyncio.Event()

    def add(self, audience: Audience) -> None:
        """Say that an audience has got something."""
        self._news[audience] = None
        self._something.set()

    async def run(self) -> Never:
        """Hand out for as long as the process lives."""
        while True:
            await self._something.wait()
            self._something.clear()
            news, self._news = self._news, {}
            for audience in news:
                listeners = list(audience.listeners)
                for start in range(0, len(listeners), _AT_ONCE):
                    await self._serve(listeners[start : start + _AT_ONCE], puts_off=True)
            count = min(_AT_ONCE, len(self._late))
            await self._serve([self._late.popitem(last=False)[0] for _ in range(count)])
            if self._late:
                self._something.set()

    async def _serve(self, listeners: Iterable[Listener], *, puts_off: bool = False) -> None:
        """Serve a step of them; those who are late are put off, or are not."""
        earliest = earliest_fresh()
        for listener in listeners:
            if puts_off and (outlet := listener.outlet) is not None and outlet.line.late:
                self._late[listener] = None
                continue
            try:
                listener.serve(earliest)
            except Exception:
                log.exception("handing_out_failed")
                listener.poke()
        await asyncio.sleep(0)
