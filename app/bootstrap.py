"""Wires all floors together; nobody else does."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from broadcaster import Broadcast

from app.domain.access import SCOPES_OF_ROLE, Principal, Scope
from app.domain.errors import HubError
from app.feed.dispatcher import Dispatcher
from app.feed.doorbell import Bell, Doorbell
from app.feed.reader import FeedReader
from app.feed.subscription import FeedSubscription
from app.feed.tail import Tail
from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer, EmbeddedServerError
from app.persistence.listening import PostgresBackend
from app.services.bundle import Services
from app.services.catalogue import CatalogueService
from app.services.clients import ClientService
from app.services.following import FollowingService
from app.services.housekeeping import Housekeeping
from app.services.keys import SigningKeys, load_pseudonym_keys, load_signing_keys
from app.services.registrations import RegistrationService
from app.services.statistics import StatisticsService
from app.services.status_messages import StatusMessageService
from app.settings import Settings, SettingsError
from graphql_schema.context import Context
from graphql_schema.pagination import Cursors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
    from pathlib import Path

    from app.domain.personal_number import KeyChain

_PSEUDONYM_KEYS = "pseudonym-keys.json"
_SIGNING_KEYS = "signing-keys.json"


def clock() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Connect to the database of the settings, or start (or join) the server that comes along."""
    async with AsyncExitStack() as stack:
        url = settings.database_url
        if url is None:
            server = EmbeddedServer(settings.data_dir)
            try:
                await asyncio.to_thread(server.start)
            except EmbeddedServerError as error:
                raise SettingsError(str(error)) from error
            stack.push_async_callback(asyncio.to_thread, server.stop)
            stack.enter_context(_background(server.watch(), "embedded-watch"))
            url = server.url
        database = Database(url, pool_size=settings.database_pool)
        await database.open()
        stack.push_async_callback(database.close)
        yield database


def load_keys(settings: Settings) -> tuple[KeyChain, SigningKeys]:
    """Read the key files; in the embedded mode they are made on first start, otherwise demanded."""
    embedded = settings.database_url is None
    pseudonyms = _key_file(settings.pseudonym_key_file, settings, _PSEUDONYM_KEYS)
    signing = _key_file(settings.signing_keys_file, settings, _SIGNING_KEYS)
    return load_pseudonym_keys(pseudonyms, create=embedded), load_signing_keys(signing, create=embedded)


def _key_file(path: Path | None, settings: Settings, name: str) -> Path:
    if path is not None:
        return path
    if settings.database_url is not None:
        setting = (
            "KOPPELPUNT_PSEUDONYM_KEY_FILE" if name == _PSEUDONYM_KEYS else "KOPPELPUNT_SIGNING_KEYS_FILE"
        )
        message = f"{setting} is needed when KOPPELPUNT_DATABASE_URL is set"
        raise SettingsError(message)
    return settings.data_dir / name


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub at work: its parts, and what runs in the background."""

    settings: Settings
    database: Database
    signing_keys: SigningKeys
    services: Services
    cursors: Cursors
    doorbell: Doorbell
    housekeeping: Housekeeping

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, *, background: bool = True) -> AsyncIterator[Self]:
        """Open a hub; without `background` it numbers, delivers and refreshes nothing by itself."""
        keys, signing_keys = load_keys(settings)
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(open_database(settings))
            doorbell = Doorbell(_broadcast(settings, database))
            vavo = settings.vavo_to_transfer_systems
            reader = FeedReader(database, clock, vavo=vavo)
            tail = Tail(database, doorbell, clock, vavo=vavo)
            clients = ClientService(database)
            statistics = StatisticsService(database, clock, threshold=settings.statistics_threshold)
            catalogue = CatalogueService(database)
            services = Services(
                catalogue=catalogue,
                clients=clients,
                feed=reader,
                following=FollowingService(database, keys, clock, vavo=vavo),
                registrations=RegistrationService(database, clock, vavo=vavo),
                statistics=statistics,
                status_messages=StatusMessageService(
                    database, keys, clock, lambda: doorbell.ring(Bell.EVENTS)
                ),
                subscription=FeedSubscription(reader, tail),
            )
            housekeeping = Housekeeping(database, statistics, clients, clock, feed_days=settings.feed_days)
            cursor_key = hmac.digest(keys.digest_key, b"cursors", "sha256")
            hub = cls(settings, database, signing_keys, services, Cursors(cursor_key), doorbell, housekeeping)
            if background:
                await doorbell.start()
                stack.push_async_callback(doorbell.stop)
                dispatcher = Dispatcher(database, doorbell, clock, vavo=vavo)
                for name, work in {
                    "dispatcher": dispatcher.run(),
                    "tail": tail.run(),
                    "catalogue": catalogue.keep_fresh(),
                    "housekeeping": housekeeping.run(),
                }.items():
                    stack.enter_context(_background(work, name))
            yield hub

    def context(self, principal: Principal, last_event_id: int | None = None) -> Context:
        """Return the context of one operation."""
        return Context(principal, self.services, self.cursors, last_event_id)

    async def greeting(self, principal: Principal) -> Mapping[str, object] | None:
        """Return where a receiver's feed stands, for `connection_ack` and pings; None for other callers."""
        if Scope.FEED_READ not in principal.scopes & SCOPES_OF_ROLE[principal.role]:
            return None
        try:
            position = await self.services.feed.position(principal)
        except HubError:
            return None
        at = position.at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
        return {
            "feed": {
                "lastNumber": position.last_number,
                "earliestNumber": position.earliest_number,
                "at": at,
            }
        }


def _broadcast(settings: Settings, database: Database) -> Broadcast:
    url = settings.broadcast_url
    if url is None:
        return Broadcast(backend=PostgresBackend(database))
    return Broadcast(url)


@contextmanager
def _background(work: Coroutine[object, object, None], name: str) -> Iterator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
