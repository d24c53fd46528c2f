"""Notifications to receivers that keep no connection: in order, one at a time each, until they are taken.

A notification with the number n says that everything up to n is there to be fetched, so one stands for all
that came while the one before was on its way, and a receiver that was away for a day gets one, not thousands.
It is written down before it is sent: after a crash it comes again, under the same id. Each attempt is a
processing on record, with what became of it, and a trace of its own that the receiver is told.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.errors import UnavailableError
from app.domain.record import Activity, Processing, ProcessingRecord, ProcessingStatus
from app.domain.webhook import (
    CONTENT_TYPE,
    WebhookProblem,
    WebhookState,
    retry_after,
    signature_headers,
)
from app.feed.doorbell import Bell
from app.feed.webhook_secrets import SecretUnreadableError
from app.feed.webhook_sender import DeliveryFailedError
from app.persistence.unit_of_work import reading, unit_of_work
from app.telemetry import FOUND_BY_TIMEOUT, WEBHOOK_ATTEMPTS, log
from app.tracing import TraceContext

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.feed.doorbell import Doorbell
    from app.feed.webhook_secrets import WebhookSecrets
    from app.feed.webhook_sender import WebhookSender
    from app.persistence.database import Database
    from app.persistence.webhooks import Claim
    from app.tracing import Tracing

_AT_ONCE = 100
_LEASE_SECONDS = 20.0  # longer than any attempt takes
_LOOK_ANYWAY_SECONDS = 2.0
_PAUSE_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_LUCK = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Sender:
    """How the hub presents itself in events: its name, and where to ask."""

    source: str
    dataref: str


class WebhookDelivery:
    """Delivers what is due. Any number of processes may; a lease keeps them out of each other's way."""

    def __init__(
        self,
        database: Database,
        sender: WebhookSender,
        secrets: WebhookSecrets,
        presented_as: Sender,
        clock: Callable[[], datetime],
        tracing: Tracing | None = None,
    ) -> None:
        self._database = database
        self._sender = sender
        self._secrets = secrets
        self._presented_as = presented_as
        self._clock = clock
        self._tracing = tracing
        self._on_their_way = 0

    async def run(self, doorbell: Doorbell) -> None:
        """Deliver for as long as the process lives."""
        ear = doorbell.ear(Bell.ENTRIES)
        rung = True
        async with asyncio.TaskGroup() as deliveries:
            while True:
                claims = await self._claim()
                if claims and not rung:
                    FOUND_BY_TIMEOUT.labels("webhooks").inc()
                for claim in claims:
                    delivery = deliveries.create_task(self._deliver(claim), name="webhook")
                    delivery.add_done_callback(lambda _: ear.prick())
                # Entries come in many small batches, and one look is enough for all of a moment.
                await asyncio.sleep(_PAUSE_SECONDS)
                rung = await ear.wait(_LOOK_ANYWAY_SECONDS)

    async def once(self) -> int:
        """Deliver what is due at this moment; return how many attempts that took."""
        claims = await self._claim()
        await asyncio.gather(*(self._deliver(claim) for claim in claims))
        return len(claims)

    async def _claim(self) -> list[Claim]:
        free = _AT_ONCE - self._on_their_way
        if not free:
            return []
        try:
            async with reading(self._database) as unit:
                claims = await unit.webhooks.claim(self._clock(), free, _LEASE_SECONDS)
        except UnavailableError:
            await asyncio.sleep(_RETRY_SECONDS)
            return []
        except Exception:
            log.exception("webhooks_failed")
            await asyncio.sleep(_RETRY_SECONDS)
            return []
        self._on_their_way += len(claims)
        return claims

    async def _deliver(self, claim: Claim) -> None:
        try:
            await self._attempt(claim)
        except UnavailableError:
            pass  # not recorded, so it comes again when the lease is over
        except Exception:
            log.exception("webhook_failed", organisation=claim.organisation_id)
        finally:
            self._on_their_way -= 1

    async def _attempt(self, claim: Claim) -> None:
        span = None if self._tracing is None else self._tracing.call("POST webhook")
        trace = TraceContext.new() if span is None else span.context
        processing = Processing(
            Activity.NOTIFY_STATUS_CHANGES,
            claim.organisation_id,
            str(claim.webhook_id),
            trace.trace_id,
            self._clock(),
            trace.span_id,
        )
        failure = await self._send(claim, trace)
        outcome = "DELIVERED" if failure is None else failure.problem.value
        if span is not None:
            span.end({"koppelpunt.webhook.outcome": outcome}, failed=failure is not None)
        WEBHOOK_ATTEMPTS.labels(outcome).inc()
        if failure is not None:
            await self._record_failure(claim, processing, failure)
            return
        async with unit_of_work(self._database) as unit:
            await unit.webhooks.delivered(claim, self._clock())
            await unit.records.add_processing([self._ended(claim, processing)])

    async def _send(self, claim: Claim, trace: TraceContext) -> DeliveryFailedError | None:
        """Send, and return what was wrong if the notification was not taken."""
        notification = claim.notification
        body = notification.body(self._presented_as.source, self._presented_as.dataref)
        try:
            secret = self._secrets.open(claim.sealed_secret, claim.organisation_id, claim.webhook_id)
            headers = {
                "content-type": CONTENT_TYPE,
                "user-agent": "mbo-koppelpunt",
                "traceparent": trace.header,
                **signature_headers(secret, str(notification.id), self._clock(), body),
            }
            await self._sender.send(claim.url, headers, body)
        except SecretUnreadableError:
            return DeliveryFailedError(WebhookProblem.SECRET_UNREADABLE)
        except DeliveryFailedError as failure:
            return failure
        except Exception:
            # What is not on record would come again with each lease, without a pause and for ever.
            log.exception("webhook_failed", organisation=claim.organisation_id)
            return DeliveryFailedError(WebhookProblem.FAILED)
        return None

    def _ended(
        self, claim: Claim, processing: Processing, status: ProcessingStatus = ProcessingStatus.OK
    ) -> ProcessingRecord:
        numbers = claim.delivered_number + 1, claim.notification.number
        return ProcessingRecord(processing, self._clock(), (), numbers, status)

    async def _record_failure(
        self, claim: Claim, processing: Processing, failure: DeliveryFailedError
    ) -> None:
        now = self._clock()
        setback = claim.record.after_failure(
            failure.problem, now, wish=retry_after(failure.wish, now), luck=_LUCK.random()
        )
        async with unit_of_work(self._database) as unit:
            counted = await unit.webhooks.failed(claim, now, failure.problem, setback)
            await unit.records.add_processing([self._ended(claim, processing, ProcessingStatus.ERROR)])
        if not counted:
            return
        told = {
            "organisation": claim.organisation_id,
            "problem": failure.problem,
            "failures": setback.failures,
        }
        if setback.state is WebhookState.STOPPED:
            log.warning("webhook_stopped", **told)
        else:
            log.info("webhook_not_taken", **told)
