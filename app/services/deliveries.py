"""Who delivers: counted and frozen in the background; an institution reads its own, the operator all."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, Role, Scope, require, require_delivery_of
from app.domain.completeness import (
    UNCONFIRMED_AFTER,
    UNHEARD_AFTER,
    completeness,
    is_stuck,
)
from app.domain.delivery import (
    COUNTED,
    WINDOW,
    DeliveryFinding,
    SenderDelivery,
    SenderState,
    added,
    found,
    rhythm,
    school_days,
)
from app.domain.errors import BadUserInputError
from app.persistence.unit_of_work import reading, unit_of_work
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from app.domain.client import Organisation
    from app.domain.completeness import GroupPart
    from app.domain.delivery import DeliveryQuality
    from app.persistence.database import Database
    from app.persistence.delivery_counts import Heard, SenderKey
    from app.persistence.unit_of_work import UnitOfWork

_SETTLED = timedelta(minutes=5)  # what was received before this has been committed, or never will be
_BACK = timedelta(days=180)  # what is counted when counting begins
_BITE = timedelta(days=7)
_REFUSED_BITE = 50_000
_KEPT = timedelta(days=400)


class DeliveryService:
    """Counts messages, judges senders, and tells who may know."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def refresh(self) -> None:
        """Count what is new, registrations once a day, and freeze it. Broken off, the old figures stay."""
        while await self._count():
            pass
        async with reading(self._database) as unit:
            counted_at, _ = await unit.deliveries.completeness()
        today = codes.today(self._clock())
        if counted_at is None or codes.today(counted_at) != today:
            await self.count_registrations()
        await self._freeze()

    async def _count(self) -> bool:
        """Count one bite of the message log; tell whether there is more."""
        now = self._clock()
        async with unit_of_work(self._database) as unit:
            counted, refused_id = await unit.delivery_counts.lock(now - _BACK)
            until = max(counted, min(counted + _BITE, now - _SETTLED))
            await unit.delivery_counts.count(counted, until)
            last, refused = await unit.delivery_counts.count_refused(refused_id, until, _REFUSED_BITE)
            await unit.delivery_counts.advance(until, last)
            await unit.delivery_counts.prune(codes.today(now - _KEPT))
        return until < now - _SETTLED or refused == _REFUSED_BITE

    async def count_registrations(self) -> None:
        """Judge the completeness of every institution: one statement for each, one transaction for all."""
        now = self._clock()
        today = codes.today(now)
        school_year = codes.school_year_of(today)
        parts: list[GroupPart] = []
        async with reading(self._database) as unit:
            senders = await unit.deliveries.senders()
            for brin in await unit.deliveries.institutions():
                parts += await unit.deliveries.groups(
                    brin, school_year, now - UNHEARD_AFTER, now - UNCONFIRMED_AFTER
                )
        cambo = {number for number, one in senders.items() if one.role is Role.CAMBO}
        async with unit_of_work(self._database) as unit:
            await unit.delivery_counts.lock(now - _BACK)
            await unit.deliveries.freeze_completeness(now, completeness(parts, cambo, today))

    async def _freeze(self) -> None:
        now = self._clock()
        today = codes.today(now)
        first = today - 2 * WINDOW
        async with unit_of_work(self._database) as unit:
            await unit.delivery_counts.lock(now - _BACK)
            before = await unit.deliveries.states()
            mandates = await unit.deliveries.mandates(today)
            heard = await unit.delivery_counts.since(first)
            senders = await self._judged(unit, mandates, heard, today)
            await unit.deliveries.freeze_senders(now, senders)
        for one in senders:
            _tell(one, before.get((one.brin, one.organisation.number)))

    async def _judged(
        self,
        unit: UnitOfWork,
        mandates: Mapping[SenderKey, date],
        heard: Mapping[SenderKey, Heard],
        today: date,
    ) -> list[SenderDelivery]:
        days = school_days(*_heard_by_day(heard.values(), today), today - 2 * WINDOW, today)
        organisations = await unit.deliveries.senders()
        _, registrations = await unit.deliveries.completeness()
        return [
            _sender(
                key,
                organisations[key[1]],
                heard.get(key),
                registrations.get(key, (0, 0, 0, None)),
                (days, since, today),
            )
            for key, since in mandates.items()
            if key[1] in organisations
        ]

    async def quality(self, principal: Principal, brin: str) -> DeliveryQuality | None:
        """Return the delivery of one institution; None before the first figures."""
        if not codes.is_brin(brin):
            field = "brin"
            raise BadUserInputError(field, "This is no BRIN.")
        require_delivery_of(principal, brin)
        return next(iter(await self._qualities([brin])), None)

    async def page(
        self, principal: Principal, after: str, size: int, *, remarkable: bool
    ) -> list[DeliveryQuality]:
        """Return up to `size` institutions after a BRIN; `remarkable`: only those with a finding."""
        require(principal, Scope.HUB_OPERATE)
        async with reading(self._database) as unit:
            brins = await unit.deliveries.page(after, size, remarkable=remarkable)
        return await self._qualities(brins)

    async def _qualities(self, brins: Collection[str]) -> list[DeliveryQuality]:
        since = codes.today(self._clock() - COUNTED)
        async with reading(self._database) as unit:
            as_of = await unit.deliveries.frozen_at()
            return [] if as_of is None else await unit.deliveries.of_institutions(brins, as_of, since)


def _heard_by_day(heard: Collection[Heard], today: date) -> tuple[dict[date, int], int]:
    """Return how many senders were heard on each day, and how many there are of late."""
    by_day: dict[date, int] = {}
    for one in heard:
        for day in one.days:
            by_day[day] = by_day.get(day, 0) + 1
    return by_day, sum(1 for one in heard if max(one.days) >= today - WINDOW)


def _sender(
    key: SenderKey,
    organisation: Organisation,
    heard: Heard | None,
    registrations: tuple[int, int, int, float | None],
    when: tuple[list[date], date, date],
) -> SenderDelivery:
    days, since, today = when
    heard_on = {} if heard is None else heard.days
    judged = rhythm(sorted(heard_on), days, since)
    counts = added(one for day, one in heard_on.items() if day > today - COUNTED)
    known, compared, stuck, elsewhere = registrations
    held_back = (DeliveryFinding.STUCK,) if is_stuck(compared, stuck, elsewhere) else ()
    return SenderDelivery(
        key[0],
        organisation,
        None if heard is None else heard.last_at,
        judged,
        counts,
        known,
        stuck,
        (*found(judged.state, counts), *held_back),
    )


def _tell(one: SenderDelivery, before: SenderState | None) -> None:
    state = one.rhythm.state
    if state is SenderState.SILENT and before is not SenderState.SILENT:
        log.warning(
            "sender_silent",
            brin=one.brin,
            organisation=one.organisation.name,
            days=one.rhythm.days_without,
            usual=one.rhythm.usual_gap,
        )
    elif before is SenderState.SILENT and state is not SenderState.SILENT:
        log.info("sender_heard_again", brin=one.brin, organisation=one.organisation.name)
