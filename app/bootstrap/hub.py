"""A hub: all its parts, wired."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Self

from app.bootstrap.background import finished, running
from app.bootstrap.configured import (
    broadcast_of,
    clock,
    hub_certificate_ends,
    load_keys,
    rates_of,
    record_export_jobs,
    record_removal_of,
    removal_ledger,
    retention_rule,
    vetting_rule,
    webhook_sender_of,
)
from app.bootstrap.database import open_database
from app.domain.access import SCOPES_OF_ROLE, Principal, Scope
from app.domain.errors import HubError
from app.domain.rates import Quotas
from app.domain.webhook import source_of
from app.feed.dispatcher import Dispatcher
from app.feed.doorbell import Bell, Doorbell
from app.feed.reader import FeedReader
from app.feed.tail import Tail
from app.feed.webhook_delivery import Sender, WebhookDelivery
from app.feed.webhook_secrets import WebhookSecrets
from app.services.annual_overview import AnnualOverviewService
from app.services.bundle import Services
from app.services.catalogue import CatalogueService
from app.services.clients import ClientService
from app.services.deliveries import DeliveryService
from app.services.export_folders import clear_leftovers
from app.services.exports import ExportService
from app.services.feed_expiry import FeedExpiry
from app.services.following import FollowingService
from app.services.foreign_subjects import ForeignSubjectService
from app.services.housekeeping import Housekeeping, Job
from app.services.message_log import MessageLogService
from app.services.oversight import OversightService
from app.services.rates import Rates, forget_old_counts
from app.services.reconciliation import ReconciliationService
from app.services.recorded_feed import DeliveryLog, RecordedFeedReader, RecordedSubscription
from app.services.registrations import RegistrationService
from app.services.retention import RetentionService
from app.services.security_log import SecurityLog
from app.services.statistics import StatisticsService
from app.services.status_messages import StatusMessageService
from app.services.trusted_documents import TrustedDocumentService
from app.services.vetting import VettingService
from app.services.webhooks import WebhookService
from graphql_schema.context import Context
from graphql_schema.pagination import Cursors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from app.persistence.database import Database
    from app.services.key_files import KeySource
    from app.services.keys import SigningKeys
    from app.settings import Settings
    from app.tracing import Tracing

_NOW_AND_THEN = timedelta(minutes=5)
_FOUR_TIMES_A_DAY = timedelta(hours=6)


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
            doorbell = Doorbell(lambda: broadcast_of(settings, database))
            vavo = settings.vavo_to_transfer_systems
            reader = FeedReader(database, clock, vavo=vavo)
            tail = Tail(database, doorbell, clock, vavo=vavo)
            clients = ClientService(database)
            vetting = VettingService(database, vetting_rule(settings))
            statistics = StatisticsService(database, clock, threshold=settings.statistics_threshold)
            overviews = AnnualOverviewService(database, clock, threshold=settings.statistics_threshold)
            catalogue = CatalogueService(database)
            deliveries_of_senders = DeliveryService(database, clock)
            oversight = OversightService(database, clock, vetting.rule, hub_certificate_ends(settings))
            quotas = Quotas(settings.follows_per_day, settings.failed_numbers_per_hour)
            following = FollowingService(database, keys, clock, vavo=vavo, quotas=quotas)
            rates = Rates(database, rates_of(settings))
            secrets = WebhookSecrets(chain.sealing_key)
            sender = webhook_sender_of(settings)
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
                annual_overview=overviews,
                catalogue=catalogue,
                clients=clients,
                deliveries=deliveries_of_senders,
                documents=TrustedDocumentService(database),
                feed=RecordedFeedReader(database, clock, vavo=vavo),
                exports=ExportService(database, following, overviews, catalogue, clock),
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
                vetting=vetting,
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
                    Job("retention", _FOUR_TIMES_A_DAY, retention.sweep, remembered=True),
                    Job(
                        "record-removal",
                        _FOUR_TIMES_A_DAY,
                        record_removal_of(settings, database, clock).remove,
                        remembered=True,
                    ),
                    Job("running-out", timedelta(days=1), vetting.warn),
                    *record_export_jobs(settings, database, chain, stack),
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
                await asyncio.to_thread(clear_leftovers)
                stack.push_async_callback(finished, security_log.finish)
                stack.push_async_callback(finished, deliveries.finish)
                await doorbell.start()
                stack.push_async_callback(doorbell.stop)
                dispatcher = Dispatcher(database, doorbell, clock, vavo=vavo)
                presented_as = Sender(source_of(settings.hub_oin), f"{settings.base_url}/graphql")
                webhooks = WebhookDelivery(database, sender, secrets, presented_as, clock, tracing)
                always: dict[str, Callable[[], Coroutine[object, object, None]]] = {
                    "dispatcher": dispatcher.run,
                    "tail": tail.run,
                    "catalogue": catalogue.keep_fresh,
                    "housekeeping": housekeeping.run,
                    "oversight": oversight.run,
                    "security-log": security_log.run,
                    "delivery-log": deliveries.run,
                    "rates": rates.run,
                    "webhooks": partial(webhooks.run, doorbell),
                }
                for name, work in always.items():
                    stack.enter_context(running(work, name))
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
