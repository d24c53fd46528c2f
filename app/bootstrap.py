"""Wires all floors together; nobody else does."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Self

from broadcaster import Broadcast

from app.domain.access import SCOPES_OF_ROLE, Principal, Scope
from app.domain.errors import BadUserInputError, HubError, UnavailableError
from app.domain.rates import Quotas, Rate, RateKind
from app.domain.retention import RetentionRule
from app.domain.vetting import VettingRule
from app.domain.webhook import source_of
from app.feed.dispatcher import Dispatcher
from app.feed.doorbell import Bell, Doorbell
from app.feed.reader import FeedReader
from app.feed.tail import Tail
from app.feed.webhook_delivery import Sender, WebhookDelivery
from app.feed.webhook_secrets import WebhookSecrets
from app.feed.webhook_sender import WebhookSender, trusted
from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer, EmbeddedServerError
from app.persistence.listening import PostgresBackend
from app.services.bundle import Services
from app.services.catalogue import CatalogueService
from app.services.clients import ClientService
from app.services.deliveries import DeliveryService
from app.services.exports import ExportService
from app.services.feed_expiry import FeedExpiry
from app.services.following import FollowingService
from app.services.foreign_subjects import ForeignSubjectService
from app.services.housekeeping import Housekeeping, Job
from app.services.issuer_keys import IssuerKeys, source_of_keys
from app.services.key_files import KeyFile
from app.services.keys import SigningKeys, load_pseudonym_keys, load_signing_keys
from app.services.message_log import MessageLogService
from app.services.oversight import OversightService
from app.services.rates import Rates, forget_old_counts
from app.services.reconciliation import ReconciliationService
from app.services.record_export import RecordExport
from app.services.recorded_feed import DeliveryLog, RecordedFeedReader, RecordedSubscription
from app.services.registrations import RegistrationService
from app.services.retention import RetentionService
from app.services.security_log import SecurityLog
from app.services.statistics import StatisticsService
from app.services.status_messages import StatusMessageService
from app.services.subjects import SubjectIds
from app.services.trusted_documents import TrustedDocumentService
from app.services.vetting import VettingService
from app.services.webhooks import WebhookService
from app.settings import Settings, SettingsError
from app.telemetry import log
from graphql_schema.context import Context
from graphql_schema.pagination import Cursors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
    from pathlib import Path

    from app.domain.personal_number import KeyChain
    from app.services.key_files import KeySource
    from app.tracing import Tracing

_PSEUDONYM_KEYS = "pseudonym-keys.json"
_SIGNING_KEYS = "signing-keys.json"
_RETRY_SECONDS = 1.0
_NOW_AND_THEN = timedelta(minutes=5)
_FOUR_TIMES_A_DAY = timedelta(hours=6)
_SOON = timedelta(seconds=2)


def clock() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_database(settings: Settings, *, patience: float = 0) -> AsyncIterator[Database]:
    """Connect to the database of the settings, or start (or join) the server that comes along.

    With `patience` (seconds) what fails is tried again for so long.
    """
    async with AsyncExitStack() as stack:
        url = settings.database_url
        if url is None:
            server = EmbeddedServer(settings.data_dir)
            try:
                await _tried(partial(asyncio.to_thread, server.start), patience)
            except EmbeddedServerError as error:
                raise SettingsError(str(error)) from error
            stack.push_async_callback(asyncio.to_thread, server.stop)
            stack.enter_context(_background(server.watch(), "embedded-watch"))
            url = server.url
        database = Database(url, pool_size=settings.database_pool)
        await _tried(database.open, patience)
        stack.push_async_callback(database.close)
        yield database


async def _tried(work: Callable[[], Awaitable[None]], patience: float) -> None:
    until = asyncio.get_running_loop().time() + patience
    while True:
        try:
            return await work()
        except (EmbeddedServerError, UnavailableError) as error:
            if asyncio.get_running_loop().time() >= until:
                raise
            log.warning("database_awaited", error=type(error).__name__)
        await asyncio.sleep(_RETRY_SECONDS)


def load_keys(settings: Settings) -> tuple[KeyFile[KeyChain], KeyFile[SigningKeys]]:
    """Read the key files; in the embedded mode they are made on first start, otherwise demanded."""
    embedded = settings.database_url is None
    return (
        KeyFile(pseudonym_key_file(settings), load_pseudonym_keys, create=embedded),
        KeyFile(signing_keys_file(settings), load_signing_keys, create=embedded),
    )


def pseudonym_key_file(settings: Settings) -> Path:
    """Return where the keys behind pseudonyms are."""
    return _key_file(settings.pseudonym_key_file, settings, _PSEUDONYM_KEYS)


def signing_keys_file(settings: Settings) -> Path:
    """Return where the keys of access tokens are."""
    return _key_file(settings.signing_keys_file, settings, _SIGNING_KEYS)


def removal_ledger(settings: Settings) -> Path:
    """Return where it is written who was removed."""
    return settings.removal_ledger_file or settings.data_dir / "removals.jsonl"


def retention_rule(settings: Settings) -> RetentionRule:
    """Return for how long this hub keeps students."""
    return RetentionRule(
        timedelta(days=settings.retention_days), timedelta(days=settings.removal_notice_days)
    )


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
    signing_keys: KeySource[SigningKeys]
    services: Services
    cursors: Cursors
    doorbell: Doorbell
    housekeeping: Housekeeping
    security_log: SecurityLog
    rates: Rates

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        *,
        background: bool = True,
        patience: float = 0,
        tracing: Tracing | None = None,
        clock: Callable[[], datetime] = clock,
    ) -> AsyncIterator[Self]:
        """Open a hub; without `background` it numbers, delivers and refreshes nothing by itself.

        With `patience` (seconds) it waits so long for a database that is away. `tracing` notes its calls.
        """
        keys, signing_keys = load_keys(settings)
        chain = keys.latest()
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(open_database(settings, patience=patience))
            doorbell = Doorbell(lambda: _broadcast(settings, database))
            vavo = settings.vavo_to_transfer_systems
            reader = FeedReader(database, clock, vavo=vavo)
            tail = Tail(database, doorbell, clock, vavo=vavo)
            clients = ClientService(database)
            statistics = StatisticsService(database, clock, threshold=settings.statistics_threshold)
            catalogue = CatalogueService(database)
            deliveries_of_senders = DeliveryService(database, clock)
            oversight = OversightService(database, clock)
            quotas = Quotas(settings.follows_per_day, settings.failed_numbers_per_hour)
            following = FollowingService(database, keys, clock, vavo=vavo, quotas=quotas)
            rates = Rates(database, _rates(settings))
            secrets = WebhookSecrets(chain.sealing_key)
            sender = _webhook_sender(settings)
            security_log = SecurityLog(database, clock)
            deliveries = DeliveryLog(database, clock)
            retention = RetentionService(
                database,
                keys,
                clock,
                lambda: doorbell.ring(Bell.EVENTS),
                rule=retention_rule(settings),
                ledger=removal_ledger(settings),
            )
            services = Services(
                catalogue=catalogue,
                clients=clients,
                deliveries=deliveries_of_senders,
                documents=TrustedDocumentService(database),
                feed=RecordedFeedReader(database, clock, vavo=vavo),
                exports=ExportService(database, following, catalogue, clock),
                following=following,
                foreign_subjects=ForeignSubjectService(database),
                message_log=MessageLogService(database),
                oversight=oversight,
                reconciliation=ReconciliationService(database, clock),
                registrations=RegistrationService(database, clock, catalogue.names, vavo=vavo),
                retention=retention,
                statistics=statistics,
                status_messages=StatusMessageService(
                    database, keys, clock, lambda: doorbell.ring(Bell.EVENTS), quotas=quotas
                ),
                subscription=RecordedSubscription(reader, tail, deliveries),
                vetting=VettingService(database, vetting_rule(settings)),
                webhooks=WebhookService(database, sender, secrets, clock),
            )
            expiry = FeedExpiry(database, clock, feed_days=settings.feed_days)
            housekeeping = Housekeeping(
                database,
                (
                    Job("statistics", _NOW_AND_THEN, statistics.refresh_daily),
                    Job("assertions", _NOW_AND_THEN, clients.purge_assertions),
                    Job("counts", _NOW_AND_THEN, partial(forget_old_counts, database, clock)),
                    Job("deliveries", timedelta(minutes=15), deliveries_of_senders.refresh),
                    Job("feed-expiry", _NOW_AND_THEN, expiry.expire),
                    Job("retention", _FOUR_TIMES_A_DAY, retention.sweep),
                    *_record_export(settings, database, chain, stack),
                ),
            )
            cursor_key = hmac.digest(chain.digest_key, b"cursors", "sha256")
            cursors = Cursors(cursor_key)
            hub = cls(
                settings,
                database,
                signing_keys,
                services,
                cursors,
                doorbell,
                housekeeping,
                security_log=security_log,
                rates=rates,
            )
            if background:
                stack.push_async_callback(security_log.finish)
                stack.push_async_callback(deliveries.finish)
                await doorbell.start()
                stack.push_async_callback(doorbell.stop)
                dispatcher = Dispatcher(database, doorbell, clock, vavo=vavo)
                presented_as = Sender(source_of(settings.hub_oin), f"{settings.base_url}/graphql")
                webhooks = WebhookDelivery(database, sender, secrets, presented_as, clock, tracing)
                for name, work in {
                    "dispatcher": dispatcher.run(),
                    "tail": tail.run(),
                    "catalogue": catalogue.keep_fresh(),
                    "housekeeping": housekeeping.run(),
                    "oversight": oversight.run(),
                    "security-log": security_log.run(),
                    "delivery-log": deliveries.run(),
                    "rates": rates.run(),
                    "webhooks": webhooks.run(doorbell),
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


def issuer_keys(settings: Settings) -> list[IssuerKeys]:
    """Return where the keys of other issuers come from; raise SettingsError for an address that is none."""
    private, tls = settings.external_issuers_allow_private, trusted(None)
    try:
        return [
            IssuerKeys(issuer, source_of_keys(place, tls, allow_private=private))
            for issuer, place in settings.external_issuers.items()
        ]
    except BadUserInputError as error:
        message = "KOPPELPUNT_EXTERNAL_ISSUERS: the address of keys cannot be used"
        raise SettingsError(message) from error


def vetting_rule(settings: Settings) -> VettingRule:
    """Return what this hub demands of its clients."""
    return VettingRule(settings.clients_must_be_vetted, settings.penetration_test_days)


def _rates(settings: Settings) -> dict[RateKind, Rate]:
    return {
        RateKind.REQUESTS: Rate(settings.rate_requests, settings.rate_requests * 10),
        RateKind.COST: Rate(settings.rate_cost, settings.rate_cost * 10),
        RateKind.TOKENS: Rate(settings.rate_tokens / 60, settings.rate_tokens),
    }


def _record_export(
    settings: Settings, database: Database, chain: KeyChain, stack: AsyncExitStack
) -> list[Job]:
    if settings.records_otlp_endpoint is None:
        return []
    from app.otlp.records import OtlpRecords  # noqa: PLC0415 - not loaded where it is off

    sink = OtlpRecords(settings.records_otlp_endpoint, settings.base_url)
    stack.callback(sink.close)
    ids = SubjectIds(chain.subject_key)
    export = RecordExport(database, sink, ids, clock, settings.processing_register)
    return [Job("record-export", _SOON, export.export)]


def _webhook_sender(settings: Settings) -> WebhookSender:
    try:
        return WebhookSender(trusted(settings.webhook_ca_file), allow_private=settings.webhook_allow_private)
    except OSError as error:
        message = "KOPPELPUNT_WEBHOOK_CA_FILE: the file cannot be used"
        raise SettingsError(message) from error


@contextmanager
def _background(work: Coroutine[object, object, None], name: str) -> Iterator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
