"""Rates of clients. Buckets live in the process and agree with the other processes every second."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from app.domain.errors import RateLimitedError, UnavailableError
from app.domain.rates import Bucket, QuotaKind, RateKind, Window, becomes_unusual
from app.persistence.unit_of_work import reading, unit_of_work
from app.telemetry import RATE_LIMITED, UNUSUAL_FOLLOWS, log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from app.domain.access import Principal
    from app.domain.rates import Quotas, Rate
    from app.persistence.database import Database
    from app.persistence.rates import Use
    from app.persistence.unit_of_work import UnitOfWork

_PAUSE_SECONDS = 1.0
_QUOTAS_KEPT = timedelta(days=400)  # what a client ever did in a day, over a school year


class Rates:
    """Buckets of requests, cost and access tokens.

    No request waits for the database. So of a client that spends in several processes at once, each process
    may let through, until they agree a second later, what all of them together had left; the debt is waited
    for. Over more than some seconds the rate is exact.
    """

    def __init__(
        self,
        database: Database,
        rates: Mapping[RateKind, Rate],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._rates = rates
        self._monotonic = monotonic
        self._buckets: dict[RateKind, dict[str, Bucket]] = {kind: {} for kind in rates}

    def spend(self, client_id: str, kind: RateKind, amount: float = 1) -> None:
        """Spend; raise RateLimitedError, with nothing spent, when nothing is left."""
        now = self._monotonic()
        buckets = self._buckets[kind]
        bucket = buckets.get(client_id)
        if bucket is None:
            bucket = buckets[client_id] = Bucket(self._rates[kind], now)
        if wait := bucket.spend(amount, now):
            RATE_LIMITED.labels(kind).inc()
            raise RateLimitedError(round(wait + 0.0005, 3))

    async def run(self) -> None:
        """Agree with the other processes for as long as this one lives."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self.settle()
            except UnavailableError:
                continue  # each process goes on by its own buckets
            except Exception:
                log.exception("rates_failed")

    async def settle(self) -> None:
        """Tell the database what was spent here, and hear what is left."""
        now = self._monotonic()
        for kind, buckets in self._buckets.items():
            for client_id in [one for one, bucket in buckets.items() if bucket.is_idle(now)]:
                del buckets[client_id]
            spent = {one: bucket.spent for one, bucket in buckets.items() if bucket.spent}
            if spent:
                await self._settle(kind, spent)

    async def _settle(self, kind: RateKind, spent: Mapping[str, float]) -> None:
        async with reading(self._database) as unit:
            left = await unit.rates.settle(kind, self._rates[kind], spent)
        now = self._monotonic()
        for client_id, tokens in left.items():
            bucket = self._buckets[kind][client_id]
            bucket.spent -= spent[client_id]
            bucket.agree(tokens, now)


async def forget_old_counts(database: Database, clock: Callable[[], datetime]) -> None:
    """Forget what clients did longer ago than anybody compares with."""
    async with reading(database) as unit:
        await unit.rates.purge(clock() - _QUOTAS_KEPT)


async def count_follows(
    unit: UnitOfWork, principal: Principal, number: int, quotas: Quotas, now: datetime
) -> Use:
    """Count new follows in the transaction that writes them; raise RateLimitedError beyond those of a day."""
    day = Window.day(now)
    use = await unit.rates.count(principal.client_id, QuotaKind.FOLLOWS, day.since, number)
    if use.used > quotas.follows_per_day:
        RATE_LIMITED.labels(QuotaKind.FOLLOWS).inc()
        raise RateLimitedError(day.left(now))
    return use


def tell_of_follows(principal: Principal, number: int, use: Use) -> None:
    """Raise the alarm, once a day, when follows that were committed made a day unusual."""
    if becomes_unusual(use.used - number, use.used, use.most_before):
        UNUSUAL_FOLLOWS.inc()
        log.warning(
            "unusual_follows", client_id=principal.client_id, followed=use.used, most_before=use.most_before
        )


async def count_failed_numbers(
    database: Database, principal: Principal, number: int, quotas: Quotas, now: datetime
) -> None:
    """Count personal numbers that are none; raise RateLimitedError once the hour had too many.

    In a transaction of its own and before the batch: the attempt counts whatever becomes of the rest.
    """
    hour = Window.hour(now)
    async with unit_of_work(database) as unit:
        use = await unit.rates.count(principal.client_id, QuotaKind.FAILED_NUMBERS, hour.since, number)
        if use.used - number >= quotas.failed_numbers_per_hour:
            RATE_LIMITED.labels(QuotaKind.FAILED_NUMBERS).inc()
            raise RateLimitedError(hour.left(now))
