"""A backend for broadcaster on PostgreSQL that comes back by itself.

broadcaster's own stays deaf after a restart of the server, without an error. This one has a LISTEN
connection of its own, notices within seconds when it is gone, connects again with growing pauses, and
then says "resync" on every channel: what was said meanwhile is lost, so listeners must look for themselves.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from broadcaster import BroadcastBackend, Event

from app.persistence.database import UNAVAILABLE, Database

if TYPE_CHECKING:
    import asyncpg

RESYNC = "resync"
_HEARTBEAT_SECONDS = 5
_LONGEST_PAUSE_SECONDS = 5.0
_WAITING_AT_MOST = 1000


class PostgresBackend(BroadcastBackend):
    """LISTEN and NOTIFY, as broadcaster wants it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._heard: asyncio.Queue[Event] = asyncio.Queue(_WAITING_AT_MOST)
        self._channels: set[str] = set()
        self._listening: asyncpg.Connection[asyncpg.Record] | None = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Begin to listen, in the background: the hub starts without its bell if it must."""
        self._task = asyncio.create_task(self._listen(), name="doorbell-listen")

    async def disconnect(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def subscribe(self, channel: str) -> None:
        """Listen on one more channel."""
        self._channels.add(channel)
        if self._listening is not None:
            with suppress(*UNAVAILABLE):
                await self._listening.add_listener(channel, self._hear)

    async def unsubscribe(self, channel: str) -> None:
        """Listen on one channel less."""
        self._channels.discard(channel)
        if self._listening is not None:
            with suppress(*UNAVAILABLE):
                await self._listening.remove_listener(channel, self._hear)

    async def publish(self, channel: str, message: str) -> None:
        """Tell everybody who listens."""
        async with self._database.connection() as connection:
            await connection.execute("select pg_notify($1, $2)", channel, message)

    async def next_published(self) -> Event:
        """Wait for what is said next."""
        return await self._heard.get()

    def _hear(self, _connection: object, _pid: int, channel: str, message: object) -> None:
        # A full queue means that the listener has enough to wake up for: one ring more says nothing new.
        with suppress(asyncio.QueueFull):
            self._heard.put_nowait(Event(channel, str(message)))

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            connection = None
            try:
                connection = await self._database.dedicated(application_name="koppelpunt doorbell")
                gone = asyncio.Event()
                connection.add_termination_listener(lambda _connection, gone=gone: gone.set())
                for channel in list(self._channels):
                    await connection.add_listener(channel, self._hear)
                self._listening = connection
                pause = 0.1
                for channel in self._channels:
                    self._hear(None, 0, channel, RESYNC)
                await self._watch(connection, gone)
            except Exception:  # noqa: BLE001, S110 - whatever it was, a bell that gave up would stay deaf
                pass
            finally:
                self._listening = None
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _watch(self, connection: asyncpg.Connection[asyncpg.Record], gone: asyncio.Event) -> None:
        while not gone.is_set():
            try:
                async with asyncio.timeout(_HEARTBEAT_SECONDS):
                    await gone.wait()
            except TimeoutError:
                # A peer that vanished without a word shows only when it is asked.
                await connection.execute("select 1", timeout=3)
