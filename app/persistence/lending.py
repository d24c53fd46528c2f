"""Lends connections of a pool, without the pool's ceremony where there is no need for it.

To take a connection from asyncpg's pool and to give it back makes two tasks, a timer and a lock, which cost
about as much as a small statement. A connection that came back in order is kept here and handed to the next
one. One on which something failed, or that is doubted, goes back to the pool, which knows what to do with it.

One that comes back an hour after it was opened is closed: PostgreSQL weighs a plan that it could keep against
its estimates for the first five executions on a connection, which may have been made when tables were empty.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

_LIFE_SECONDS = 3600.0
_CLOSE_SECONDS = 2.0
_GRACE_SECONDS = 2.0  # for an answer that is there already, after a stop of this process for one


class Lender:
    """The connections of one pool, at most `size` of them lent at a time; who must wait is served in turn."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], size: int, patience: float) -> None:
        self._pool = pool
        self._free = size
        self._patience = patience
        self._grace = _GRACE_SECONDS
        self._life = _LIFE_SECONDS
        self._use_until: dict[Connection, float] = {}
        self._idle: list[Connection] = []
        self._lent: set[Connection] = set()
        self._doubted: set[Connection] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closing = False

    async def borrow(self) -> Connection:
        """Return a connection; raise TimeoutError when none comes free in time."""
        if self._free:
            self._free -= 1
        else:
            await self._wait()
        try:
            connection = await self._any()
        except BaseException:
            self._next()
            raise
        self._lent.add(connection)
        return connection

    async def give_back(self, connection: Connection) -> None:
        """Take back a connection on which everything went well."""
        if self._closing or connection in self._doubted:
            await self.discard(connection)
            return
        if monotonic() > self._use_until[connection]:
            try:
                with suppress(Exception):  # it ends in any case
                    await connection.close(timeout=_CLOSE_SECONDS)
            finally:
                await self.discard(connection)
            return
        self._lent.discard(connection)
        self._idle.append(connection)
        self._next()

    async def discard(self, connection: Connection) -> None:
        """Take back a connection on which something failed."""
        self._lent.discard(connection)
        if connection in self._doubted:
            self._doubted.discard(connection)
            _end(connection)
        try:
            await self._release(connection)
        finally:
            self._next()

    async def distrust(self, *, cuts: bool = False) -> None:
        """Use no connection again that is open now; with `cuts`, end those that stay in use much longer."""
        lent = frozenset(self._lent)
        self._doubted |= lent
        if cuts:
            asyncio.get_running_loop().call_later(self._grace, self._cut, lent)
        for connection in self._idle:
            _end(connection)
        await self._pool.expire_connections()
        await self._release_idle()

    def _cut(self, lent: Iterable[Connection]) -> None:
        for connection in self._lent.intersection(lent):
            _end(connection)

    async def close(self) -> None:
        """Let the pool have every connection, those that are lent once they come back."""
        self._closing = True
        await self._release_idle()

    async def _any(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not _is_closed(connection):
                return connection
            await self._release(connection)
        connection = await self._pool.acquire(timeout=self._patience)
        self._use_until[connection] = monotonic() + self._life
        return connection

    async def _release(self, connection: Connection) -> None:
        self._use_until.pop(connection, None)
        await self._pool.release(connection)

    async def _release_idle(self) -> None:
        while self._idle:
            await self._release(self._idle.pop())

    async def _wait(self) -> None:
        """Wait for one's turn: who gives a connection back leaves its place to the first who waits."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._next()  # the turn had come, and nobody takes it
            raise

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _end(connection: Connection) -> None:
    """End it at once: to close it is to wait for the server, which may have gone."""
    if not _is_closed(connection):
        connection.terminate()


def _is_closed(connection: Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # it has left the pool, as closed ones do
        return True
