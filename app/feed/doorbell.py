"""The doorbell: "there is something new", and never what. With the bell dead the hub is slower, not wrong."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager, suppress
from enum import StrEnum
from secrets import token_hex
from typing import TYPE_CHECKING

from app.telemetry import DOORBELL_FAILURES, log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from broadcaster import Broadcast

_CHANNEL = "koppelpunt"
_PAUSE_SECONDS = 0.005
_RETRY_SECONDS = 1.0
_BEAT_SECONDS = 5.0
_BEAT = "beat"


class Bell(StrEnum):
    """What there is something new of."""

    EVENTS = "events"
    ENTRIES = "entries"


class Ear:
    """Hears one bell for one listener, and what the listener tells itself."""

    def __init__(self) -> None:
        self._pricked = asyncio.Event()

    def prick(self) -> None:
        """End the present wait, or the next one."""
        self._pricked.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for the bell; False when the time was up first."""
        try:
            async with asyncio.timeout(seconds):
                await self._pricked.wait()
        except TimeoutError:
            return False
        finally:
            self._pricked.clear()
        return True


class Doorbell:
    """Rings in this process at once, and in the others through broadcaster.

    Rings that come close together are passed on as one. Every `wait` has a time limit, after which the
    caller looks into the table anyway.

    broadcaster's listeners can go deaf without an error, when Redis restarts for one. So a process that does
    not hear its own beats connects anew, with a broadcaster that has no past.
    """

    def __init__(self, broadcast: Callable[[], Broadcast], *, beat_seconds: float = _BEAT_SECONDS) -> None:
        self._make_broadcast = broadcast
        self._broadcast: Broadcast | None = None
        self._beat_seconds = beat_seconds
        self._origin = token_hex(8)
        self._rung = {bell: asyncio.Event() for bell in Bell}
        self._ears: list[tuple[Bell, Ear]] = []
        self._kept: set[Bell] = set()
        self._to_pass_on: set[Bell] = set()
        self._something_to_pass_on = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Connect and listen; a bell that cannot be had now is tried again and again."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="doorbell-hear"),
            asyncio.create_task(self._pass_on(), name="doorbell-ring"),
            asyncio.create_task(self._beat(), name="doorbell-beat"),
        ]

    async def stop(self) -> None:
        """Stop listening and ringing."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    def ring(self, bell: Bell) -> None:
        """Say that there is something new; never waits, never fails."""
        self._wake(bell)
        if bell not in self._kept:
            self._to_pass_on.add(bell)
            self._something_to_pass_on.set()

    @contextmanager
    def keeping(self, bell: Bell) -> Iterator[None]:
        """Pass this bell's rings on to nobody meanwhile: who does what they ask for is in this process.

        Where that has just moved to another process, its next look anyway finds what it was not told of.
        """
        self._kept.add(bell)
        try:
            yield
        finally:
            self._kept.discard(bell)

    def ear(self, bell: Bell) -> Ear:
        """Return an ear of one's own: two who `wait` for one bell would take its rings from each other."""
        ear = Ear()
        self._ears.append((bell, ear))
        return ear

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
        # A backend that lost its connection answers a cancellation with an error of its own.
        while not self._stopping:
            broadcast, patience = None, 3 * self._beat_seconds
            try:
                broadcast = self._make_broadcast()
                async with AsyncExitStack() as stack:
                    async with asyncio.timeout(patience):
                        await broadcast.connect()
                        subscriber = await stack.enter_async_context(broadcast.subscribe(_CHANNEL))
                    self._broadcast = broadcast
                    self._look_for_yourselves()
                    while True:
                        async with asyncio.timeout(patience):
                            event = await subscriber.get()
                        self._hear(event.message)
            except Exception as error:  # noqa: BLE001 - whatever a backend raises, the bell is tried again
                DOORBELL_FAILURES.inc()
                log.warning("doorbell_lost", error=type(error).__name__)
            finally:
                self._broadcast = None
                if broadcast is not None:
                    await _disconnect(broadcast)
            await asyncio.sleep(_RETRY_SECONDS)

    def _hear(self, message: str) -> None:
        # What has no name, "resync" for one, may mean anything.
        origin, _, name = message.partition(":")
        if origin == self._origin:
            return
        for bell in Bell:
            if name in {bell, ""}:
                self._wake(bell)

    def _look_for_yourselves(self) -> None:
        for bell in Bell:
            self._wake(bell)

    def _wake(self, bell: Bell) -> None:
        self._rung[bell].set()
        for heard, ear in self._ears:
            if heard is bell:
                ear.prick()

    async def _pass_on(self) -> None:
        while True:
            await self._something_to_pass_on.wait()
            self._something_to_pass_on.clear()
            bells, self._to_pass_on = self._to_pass_on, set()
            for bell in bells:
                await self._publish(bell)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _beat(self) -> None:
        while True:
            await self._publish(_BEAT)
            await asyncio.sleep(self._beat_seconds)

    async def _publish(self, name: str) -> None:
        broadcast = self._broadcast
        if broadcast is None:
            return
        try:
            async with asyncio.timeout(self._beat_seconds):
                await broadcast.publish(_CHANNEL, f"{self._origin}:{name}")
        except Exception as error:  # noqa: BLE001 - the table is read anyway
            DOORBELL_FAILURES.inc()
            log.warning("doorbell_not_rung", error=type(error).__name__)


async def _disconnect(broadcast: Broadcast) -> None:
    # Its own way stops half-way where it never connected, or lost its connection.
    for disconnect in (broadcast.disconnect, broadcast._backend.disconnect):  # noqa: SLF001 - there is no other
        with suppress(Exception):
            async with asyncio.timeout(_RETRY_SECONDS):
                await disconnect()
