"""The doorbell: "there is something new", and never what. With the bell dead the hub is slower, not wrong."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from secrets import token_hex
from typing import TYPE_CHECKING

from app.telemetry import DOORBELL_FAILURES, log

if TYPE_CHECKING:
    from broadcaster import Broadcast

_CHANNEL = "koppelpunt"
_PAUSE_SECONDS = 0.005
_RETRY_SECONDS = 1.0


class Bell(StrEnum):
    """What there is something new of."""

    EVENTS = "events"
    ENTRIES = "entries"


class Doorbell:
    """Rings in this process at once, and in the others through broadcaster.

    Rings that come close together are passed on as one. Every `wait` has a time limit, after which the
    caller looks into the table anyway.
    """

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._origin = token_hex(8)
        self._rung = {bell: asyncio.Event() for bell in Bell}
        self._to_pass_on: set[Bell] = set()
        self._something_to_pass_on = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect and listen; a bell that cannot be had now is tried again and again."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="doorbell-hear"),
            asyncio.create_task(self._pass_on(), name="doorbell-ring"),
        ]

    async def stop(self) -> None:
        """Stop listening and ringing."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    def ring(self, bell: Bell) -> None:
        """Say that there is something new; never waits, never fails."""
        self._rung[bell].set()
        self._to_pass_on.add(bell)
        self._something_to_pass_on.set()

    async def wait(self, bell: Bell, seconds: float) -> bool:
        """Wait for the bell; False when the time was up first."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung[bell].wait()
        except TimeoutError:
            return False
        finally:
            self._rung[bell].clear()
        return True

    async def _listen(self) -> None:
        while True:
            try:
                async with self._broadcast as broadcast, broadcast.subscribe(_CHANNEL) as subscriber:
                    self._look_for_yourselves()
                    while True:
                        self._hear((await subscriber.get()).message)
            except Exception as error:  # noqa: BLE001 - whatever a backend raises, the bell is tried again
                DOORBELL_FAILURES.inc()
                log.warning("doorbell_lost", error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)

    def _hear(self, message: str) -> None:
        # What has no name, "resync" for one, may mean anything.
        origin, _, name = message.partition(":")
        if origin == self._origin:
            return
        for bell, rung in self._rung.items():
            if name in {bell, ""}:
                rung.set()

    def _look_for_yourselves(self) -> None:
        for rung in self._rung.values():
            rung.set()

    async def _pass_on(self) -> None:
        while True:
            await self._something_to_pass_on.wait()
            self._something_to_pass_on.clear()
            bells, self._to_pass_on = self._to_pass_on, set()
            for bell in bells:
                try:
                    await self._broadcast.publish(_CHANNEL, f"{self._origin}:{bell}")
                except Exception as error:  # noqa: BLE001 - the table is read anyway
                    DOORBELL_FAILURES.inc()
                    log.warning("doorbell_not_rung", error=type(error).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)
