"""The operator's view of the delivery, so that "no news" and "no delivery" can be told apart."""

from __future__ import annotations

import asyncio
from math import inf, nan
from typing import TYPE_CHECKING

from app.domain.access import Principal, Scope, require
from app.domain.delivery import DeliveryFinding, SenderState
from app.domain.errors import UnavailableError
from app.domain.vetting import RunningOut
from app.persistence.unit_of_work import reading
from app.telemetry import (
    DELIVERY_FINDINGS,
    OLDEST_PENDING,
    OLDEST_UNACKNOWLEDGED,
    RECEIVERS_BEHIND,
    RUNS_OUT,
    SENDERS,
    log,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.domain.oversight import DeliveryState, ReceiverOverview
    from app.domain.vetting import VettingRule
    from app.persistence.database import Database

_EVERY_SECONDS = 15.0


class OversightService:
    """Tells how far each receiver is, and keeps the gauges that say so, and what runs out.

    `hub_certificate_ends`: of the certificate that the hub speaks TLS with, None where a proxy does.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        rule: VettingRule,
        hub_certificate_ends: datetime | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._rule = rule
        self._hub_certificate_ends = hub_certificate_ends

    async def receivers(self, principal: Principal, after: int, size: int) -> list[ReceiverOverview]:
        """Return up to `size` receivers after an organisation's id."""
        require(principal, Scope.HUB_OPERATE)
        async with reading(self._database) as unit:
            return await unit.oversight.receivers(after, size)

    async def delivery_state(self, principal: Principal) -> DeliveryState:
        """Return where changes wait."""
        require(principal, Scope.HUB_OPERATE)
        return await self._state()

    async def run(self) -> None:
        """Renew the gauges for as long as the process lives."""
        while True:
            try:
                await self.observe()
            except UnavailableError:
                _forget()
            except Exception:
                _forget()
                log.exception("oversight_failed")
            await asyncio.sleep(_EVERY_SECONDS)

    async def observe(self) -> None:
        """Renew the gauges."""
        state = await self._state()
        OLDEST_PENDING.set(self._age(state.oldest_pending_at))
        OLDEST_UNACKNOWLEDGED.set(self._age(state.oldest_unacknowledged_at))
        RECEIVERS_BEHIND.set(state.receivers_behind)
        async with reading(self._database) as unit:
            totals = await unit.deliveries.totals()
            certificate, tested_on = await unit.vetting.first_to_end()
        for sender_state in SenderState:
            SENDERS.labels(sender_state).set(totals.get(("state", sender_state), 0))
        for finding in DeliveryFinding:
            DELIVERY_FINDINGS.labels(finding).set(totals.get(("finding", finding), 0))

        self._show_end(RunningOut.CERTIFICATE, certificate)
        tested_until = None if tested_on is None else self._rule.penetration_test_ends(tested_on)
        self._show_end(RunningOut.PENETRATION_TEST, tested_until)
        self._show_end(RunningOut.HUB_CERTIFICATE, self._hub_certificate_ends)

    def _show_end(self, what: RunningOut, ends: datetime | None) -> None:
        left = inf if ends is None else (ends - self._clock()).total_seconds()
        RUNS_OUT.labels(what).set(left)

    async def _state(self) -> DeliveryState:
        async with reading(self._database) as unit:
            return await unit.oversight.delivery_state()

    def _age(self, since: datetime | None) -> float:
        return 0 if since is None else max((self._clock() - since).total_seconds(), 0)


def _forget() -> None:
    # A figure that is no longer true must not look like one.
    for gauge in (OLDEST_PENDING, OLDEST_UNACKNOWLEDGED, RECEIVERS_BEHIND):
        gauge.set(nan)
    for sender_state in SenderState:
        SENDERS.labels(sender_state).set(nan)
    for finding in DeliveryFinding:
        DELIVERY_FINDINGS.labels(finding).set(nan)
    for what in RunningOut:
        RUNS_OUT.labels(what).set(nan)
