"""The way into PostgreSQL: a pool of asyncpg for the paths of every day, SQLModel sessions for the rest."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, cast

import asyncpg
from sqlalchemy import NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as TooManySessionsError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from app.domain.errors import UnavailableError
from app.persistence.lending import Lender
from app.persistence.silence import BY_THE_SERVER, limit_silence

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, WriteTransport
    from collections.abc import AsyncIterator

    from asyncpg.connect_utils import _ClientConfiguration as ClientConfiguration
    from asyncpg.connect_utils import _ConnectionParameters as ConnectionParameters
    from asyncpg.protocol.protocol import BaseProtocol

_ACQUIRE_SECONDS = 10
_CONNECT_SECONDS = 5
_CLOSE_SECONDS = 2
_SESSION_SECONDS = 20
_SERVER_SETTINGS = {
    "application_name": "koppelpunt",
    "jit": "off",
    "random_page_cost": "1.1",  # rows are fetched by key; what is read often lies in memory
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",  # so long locks stay of who vanished behind a proxy
    **BY_THE_SERVER,
}

# What says that PostgreSQL, and not the request, is at fault.
UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.DiskFullError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.InternalClientError,  # what a connection says that is cut in the middle of an answer
    OSError,
    TimeoutError,
)


class _Connection(asyncpg.Connection):
    """A connection that holds no session state, so that its return to the pool costs no round trip.

    One whose peer vanished without a word ends within seconds.
    """

    def __init__(
        self,
        protocol: BaseProtocol[asyncpg.Record],
        transport: WriteTransport,
        loop: AbstractEventLoop,
        addr: tuple[str, int] | str,
        config: ClientConfiguration,
        params: ConnectionParameters,
    ) -> None:
        super().__init__(protocol, transport, loop, addr, config, params)
        limit_silence(transport)

    def get_reset_query(self) -> str:
        return ""


def plain_url(url: str) -> str:
    """Return the address as asyncpg takes it."""
    return "postgresql://" + url.split("://", 1)[1]


def engine_for(url: str, *, command_seconds: float | None, pooled: bool) -> AsyncEngine:
    """Return an engine; asyncpg reads the address, with `sslmode` and whatever else libpq knows.

    Without `command_seconds` a statement may take as long as it likes.
    """
    pool = {"pool_size": 2, "max_overflow": 3, "pool_pre_ping": True} if pooled else {"poolclass": NullPool}
    connect = partial(
        asyncpg.connect,
        plain_url(url),
        timeout=_CONNECT_SECONDS,
        command_timeout=command_seconds,
        connection_class=_Connection,
        server_settings=BY_THE_SERVER,
    )
    return create_async_engine("postgresql+asyncpg://", async_creator=connect, hide_parameters=True, **pool)


class Database:
    """One database: `connection()` for reads and raw SQL, `session()` for SQLModel."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = plain_url(url)
        self._pool_size = pool_size
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._lender: Lender | None = None
        self.engine = engine_for(url, command_seconds=_SESSION_SECONDS, pooled=True)

    async def open(self) -> None:
        """Connect; raise UnavailableError when there is no server."""
        try:
            self._pool = await asyncpg.create_pool(
                self.url,
                min_size=1,
                max_size=self._pool_size,
                connection_class=_Connection,
                server_settings=_SERVER_SETTINGS,
                command_timeout=35,
                max_inactive_connection_lifetime=600,
                timeout=_CONNECT_SECONDS,
            )
        except UNAVAILABLE as error:
            raise UnavailableError from error
        self._lender = Lender(self._pool, self._pool_size, _ACQUIRE_SECONDS)

    async def close(self) -> None:
        """Close every connection; what runs, and a server that does not answer, gets seconds and no more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.engine.dispose()
        if self._pool is not None and self._lender is not None:
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._lender.close()
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()

    async def distrust(self, *, silent: bool) -> None:
        """Use no connection of the pool again that is open now: another one has just proved dead.

        If that was `silent`, what waits for an answer would wait for the whole time limit of a statement, and
        so would the next user. So what is in use ends soon, too; its users get UnavailableError.
        """
        if self._lender is not None:
            await self._lender.distrust(cuts=silent)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Lend a connection without a transaction; a lost server becomes UnavailableError."""
        lender = self._lender
        if lender is None:
            raise UnavailableError
        try:
            connection = await lender.borrow()
            try:
                yield cast("asyncpg.Connection[asyncpg.Record]", connection)
            except BaseException:
                # What went wrong first is what is told, a cancellation above all: it must not be lost.
                with suppress(Exception):
                    await lender.discard(connection)
                raise
            await lender.give_back(connection)
        except UNAVAILABLE as error:
            raise UnavailableError from error

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Lend a SQLModel session that does not commit by itself."""
        try:
            async with AsyncSession(self.engine, expire_on_commit=False) as session:
                yield session
        except (*UNAVAILABLE, TooManySessionsError) as error:
            raise UnavailableError from error
        except DBAPIError as error:
            # What asyncpg said stands behind what SQLAlchemy made of it.
            if error.connection_invalidated or isinstance(
                getattr(error.orig, "__cause__", None), UNAVAILABLE
            ):
                raise UnavailableError from error
            raise

    async def dedicated(self, **server_settings: str) -> asyncpg.Connection[asyncpg.Record]:
        """Open a connection outside the pool, for locks and listening; the caller closes it."""
        return await asyncpg.connect(
            self.url,
            timeout=_CONNECT_SECONDS,
            command_timeout=5,
            connection_class=_Connection,
            server_settings={**_SERVER_SETTINGS, **server_settings},
        )
