"""Traffic of three months: one SIS falls silent, one drops changes, one sends on Mondays only, one errs.

The hub must tell them apart, without a person in what it tells.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from app.bootstrap import load_keys
from app.domain.access import Role
from app.domain.catalogue import Institution, Programme
from app.domain.codes import Status
from app.domain.delivery import DeliveryFinding, SenderState
from app.domain.errors import BadUserInputError, ForbiddenError
from app.domain.personal_number import PersonalNumber
from app.domain.vetting import VettingRule
from app.services.deliveries import DeliveryService
from app.services.oversight import OversightService
from app.services.status_messages import StatusMessageService
from app.telemetry import DELIVERY_FINDINGS, SENDERS
from graphql_schema.schema import schema
from tests.factories.world import PROGRAMME, World, a_message

if TYPE_CHECKING:
    from app.domain.status_message import StatusMessage

pytestmark = pytest.mark.slow

STEADY, SILENT, DROPPING, WEEKLY, ERRING, UNHEARD = "25LH", "25GV", "01AA", "01OE", "02OV", "00GT"
BRINS = (STEADY, SILENT, DROPPING, WEEKLY, ERRING)
FIRST, LAST = date(2026, 3, 2), date(2026, 5, 29)
SILENT_FROM = date(2026, 5, 22)
HOLIDAY = (date(2026, 4, 27), date(2026, 5, 8))
NEW_A_DAY = 3


@dataclass
class Clock:
    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Sis:
    """A student information system with what happens in it; `waiting` is what it has not sent yet."""

    brin: str
    principal: object
    source: random.Random
    waiting: list[StatusMessage] = field(default_factory=list)
    due: dict[date, list[StatusMessage]] = field(default_factory=dict)

    def live(self, day: date) -> list[StatusMessage]:
        """Let a day pass; return the applications that came through CAMBO."""
        at = datetime.combine(day, time(8), UTC)
        new = [
            a_message(brin=self.brin, school_year=2026, occurred_at=at - timedelta(hours=1))
            for _ in range(NEW_A_DAY)
        ]
        for message in new:
            for days, status in ((7, Status.OFFERED), (14, Status.ENROLLED)):
                moment = at + timedelta(days=days)
                later = replace(message, message_id=uuid4(), status=status, occurred_at=moment)
                self.due.setdefault(moment.date(), []).append(later)
        happened = [*new, *self.due.pop(day, [])]
        if self.brin == DROPPING:
            happened = [one for one in happened if self.source.random() > 0.55]
        if self.brin == ERRING:
            wrong = PersonalNumber("123456789")
            happened = [
                replace(one, personal_number=wrong) if self.source.random() < 0.15 else one
                for one in happened
            ]
        self.waiting += happened
        return new

    def outbox(self, day: date) -> list[StatusMessage]:
        """Return what it sends on this day."""
        if (self.brin == SILENT and day >= SILENT_FROM) or (self.brin == WEEKLY and day.weekday()):
            return []
        sent, self.waiting = self.waiting, []
        return sent


class Chain:
    """A hub whose clock is turned through the months."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = Clock()
        keys, _ = load_keys(world.hub.settings)
        database = world.hub.database
        self.messages = StatusMessageService(database, keys, self.clock, lambda: None)
        self.deliveries = DeliveryService(database, self.clock)
        self.oversight = OversightService(database, self.clock, VettingRule())

    async def furnish(self) -> None:
        institutions = [Institution(brin, brin) for brin in (*BRINS, UNHEARD)]
        programmes = [Programme(PROGRAMME, "Software developer", 4)]
        await self.world.services.catalogue.put(institutions, programmes)
        await self.world.services.catalogue.refresh()
        source = random.Random(6)
        self.cambo = await self.world.principal(Role.CAMBO)
        self.systems = [Sis(brin, await self.world.principal(Role.SIS, (brin,)), source) for brin in BRINS]
        self.unheard = await self.world.principal(Role.SIS, (UNHEARD,))
        self.operator = await self.world.principal(Role.OPERATOR)
        async with self.world.hub.database.connection() as connection:
            await connection.execute("update mandate set valid_from = $1", FIRST - timedelta(days=1))

    async def run(self, until: date = LAST) -> None:
        day = FIRST
        while day <= until:
            self.clock.now = datetime.combine(day, time(9), UTC)
            holiday = HOLIDAY[0] <= day <= HOLIDAY[1]
            if day.weekday() < 5 and not holiday:
                through_cambo: list[StatusMessage] = []
                for system in self.systems:
                    through_cambo += [replace(one, message_id=uuid4()) for one in system.live(day)]
                await self.messages.report(self.cambo, through_cambo)
                for system in self.systems:
                    if sent := system.outbox(day):
                        await self.messages.report(system.principal, sent)  # type: ignore[arg-type]
            if day.day == 15:
                await self.deliveries.refresh()  # in the middle: counts go on from there
            day += timedelta(days=1)
        self.clock.now = datetime.combine(until, time(18), UTC)


@pytest.fixture(scope="module")
async def hub_of_the_module(template, key_files):
    """Clone a database that the tests of this module only read."""
    import contextlib  # noqa: PLC0415

    from app.bootstrap import Hub  # noqa: PLC0415
    from app.settings import load_settings  # noqa: PLC0415
    from tests import conftest  # noqa: PLC0415

    name = f"test_{uuid4().hex[:12]}"
    await conftest._clone(template, conftest._TEMPLATE, name)
    settings = load_settings(
        database_url=conftest._in(template, name), broadcast_url="memory://", **key_files
    )
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(Hub.open(settings, background=False))
        yield hub
    await conftest._drop(template, name)


@pytest.fixture(scope="module")
async def chain(hub_of_the_module) -> Chain:
    made = Chain(World(hub_of_the_module))
    await made.furnish()
    await made.run()
    with capture_logs() as logged:
        await made.deliveries.refresh()
    made.logged = logged  # type: ignore[attr-defined]
    return made


async def quality(chain: Chain, brin: str):
    found = await chain.deliveries.quality(chain.operator, brin)
    assert found is not None
    (sender,) = found.senders
    return found, sender


class TestSilence:
    async def test_is_found_at_the_one_that_fell_silent_and_nowhere_else(self, chain) -> None:
        states = {brin: (await quality(chain, brin))[1].rhythm.state for brin in (*BRINS, UNHEARD)}
        assert states == {
            **dict.fromkeys(BRINS, SenderState.DELIVERING),
            SILENT: SenderState.SILENT,
            UNHEARD: SenderState.NEVER_HEARD,
        }

    async def test_is_told_by_what_is_usual(self, chain) -> None:
        _, silent = await quality(chain, SILENT)
        assert (silent.rhythm.usual_gap, silent.rhythm.long_gap, silent.rhythm.silent_after) == (1, 1, 3)
        assert silent.rhythm.days_without == 5  # Friday 22 May up to Thursday 28
        assert silent.last_message_at == datetime(2026, 5, 21, 9, tzinfo=UTC)
        _, weekly = await quality(chain, WEEKLY)
        assert (weekly.rhythm.usual_gap, weekly.rhythm.days_without) == (5, 3)

    async def test_is_no_news_during_a_holiday_of_all(self, chain) -> None:
        _, steady = await quality(chain, STEADY)
        assert (steady.rhythm.long_gap, steady.rhythm.days_without) == (1, 0)

    async def test_is_logged_once_when_it_begins(self, chain) -> None:
        silent = [one for one in chain.logged if one["event"] == "sender_silent"]
        assert [(one["brin"], one["days"], one["usual"]) for one in silent] == [(SILENT, 5, 1)]
        with capture_logs() as again:
            await chain.deliveries.refresh()
        assert again == []


class TestDroppedChanges:
    async def test_are_found_by_registrations_that_only_cambo_knows_or_that_are_stuck(self, chain) -> None:
        found = {brin: (await quality(chain, brin))[0].completeness for brin in BRINS}
        assert set(found[DROPPING].findings) == {DeliveryFinding.UNCONFIRMED, DeliveryFinding.STUCK}
        for brin in (STEADY, WEEKLY):
            assert found[brin].findings == (), brin
            assert (found[brin].unconfirmed, found[brin].stuck) == (0, 0)
        assert found[DROPPING].elsewhere < 0.02

    async def test_are_laid_at_the_door_of_the_sender_that_holds_them(self, chain) -> None:
        _, dropping = await quality(chain, DROPPING)
        assert DeliveryFinding.STUCK in dropping.findings
        assert dropping.stuck == (await quality(chain, DROPPING))[0].completeness.stuck >= 10

    async def test_are_counted_exactly(self, chain) -> None:
        """Against a count of rows, by the words of the rule."""
        async with chain.world.hub.database.connection() as connection:
            rows = await connection.fetch(
                "select brin, status, created_at, last_confirmed_at, reported_by from registration"
            )
        now, cambo = chain.clock.now, chain.cambo.organisation_id
        week: Counter[object] = Counter()
        for row in rows:
            monday = row["created_at"].date() - timedelta(days=row["created_at"].weekday())
            week[monday] += 1
            week[monday, "moved"] += row["status"] != "RECEIVED"
        unconfirmed: Counter[str] = Counter()
        stuck: Counter[str] = Counter()
        for row in rows:
            monday = row["created_at"].date() - timedelta(days=row["created_at"].weekday())
            alone = row["reported_by"] == [cambo]
            unconfirmed[row["brin"]] += alone and row["created_at"] < now - timedelta(days=7)
            stuck[row["brin"]] += (
                not alone
                and row["status"] == "RECEIVED"
                and row["last_confirmed_at"] < now - timedelta(days=14)
                and monday + timedelta(days=28) <= now.date()
                and week[monday, "moved"] >= 0.75 * week[monday]
            )
        for brin in BRINS:
            own = (await quality(chain, brin))[0].completeness
            assert (own.unconfirmed, own.stuck) == (unconfirmed[brin], stuck[brin]), brin


class TestMessages:
    async def test_are_each_counted_once_however_often_and_by_how_many_they_are_counted(self, chain) -> None:
        await asyncio.gather(*(chain.deliveries.refresh() for _ in range(3)))
        async with chain.world.hub.database.connection() as connection:
            every = await connection.fetch(
                "select organisation_id, count(*) from status_message "
                "where received_at <= $1::timestamptz - interval '5 minutes' group by 1 order by 1",
                chain.clock.now,
            )
            counted = await connection.fetch(
                "select organisation_id, sum(messages)::bigint from delivery_day group by 1 order by 1"
            )
            refused = await connection.fetchval("select sum(messages) from delivery_refusal")
            assert refused == await connection.fetchval("select count(*) from refused_message")
        assert [tuple(row) for row in counted] == [tuple(row) for row in every]

    async def test_that_are_refused_are_a_finding_with_their_codes(self, chain) -> None:
        _, erring = await quality(chain, ERRING)
        assert erring.findings == (DeliveryFinding.REFUSED,)
        assert erring.refusals == (("PERSONAL_NUMBER_INVALID", erring.counts.refused),)
        assert 0.05 < erring.counts.refused / (erring.counts.refused + erring.counts.messages) < 0.3

    async def test_that_come_late_are_a_finding_with_the_delay(self, chain) -> None:
        _, weekly = await quality(chain, WEEKLY)
        assert DeliveryFinding.LATE in weekly.findings
        assert weekly.delay_long > 24 * 60
        _, steady = await quality(chain, STEADY)
        assert (steady.counts.late, steady.delay_median, steady.delay_long) == (0, 64, 128)


class TestWhoMaySee:
    async def test_an_institution_sees_its_own_and_no_other(self, chain) -> None:
        own = await chain.world.principal(Role.INSTITUTION, (STEADY,))
        assert (await chain.deliveries.quality(own, STEADY)).completeness.brin == STEADY
        for brin in (SILENT, "99ZZ"):
            with pytest.raises(ForbiddenError):
                await chain.deliveries.quality(own, brin)
        with pytest.raises(ForbiddenError):
            await chain.deliveries.page(own, "", 50, remarkable=False)
        with pytest.raises(BadUserInputError):
            await chain.deliveries.quality(own, "x")

    async def test_the_operator_sees_all_or_those_with_a_finding(self, chain) -> None:
        document = """query ($remarkable: Boolean!, $first: Int!, $after: String) {
          deliveryQualities(remarkable: $remarkable, first: $first, after: $after) {
            nodes { institution { brin } findings stuckShareElsewhere
                    senders { organisation { name } state findings refusals { code messages } } }
            pageInfo { hasNextPage endCursor } } }"""

        async def pages(remarkable: bool) -> list[str]:
            seen, cursor = [], None
            while True:
                result = await schema.execute(
                    document,
                    variable_values={"remarkable": remarkable, "first": 3, "after": cursor},
                    context_value=chain.world.hub.context(chain.operator),
                )
                assert result.errors is None, result.errors
                assert result.data is not None
                page = result.data["deliveryQualities"]
                seen += [node["institution"]["brin"] for node in page["nodes"]]
                if not page["pageInfo"]["hasNextPage"]:
                    return seen
                cursor = page["pageInfo"]["endCursor"]

        assert await pages(True) == sorted([SILENT, DROPPING, WEEKLY, ERRING, UNHEARD])
        assert await pages(False) == sorted([*BRINS, UNHEARD])

    async def test_gauges_count_states_and_findings(self, chain) -> None:
        await chain.oversight.observe()
        states = {state: SENDERS.labels(state)._value.get() for state in SenderState}
        assert states == {
            SenderState.DELIVERING: 4,
            SenderState.NEW: 0,
            SenderState.SILENT: 1,
            SenderState.NEVER_HEARD: 1,
        }
        assert DELIVERY_FINDINGS.labels(DeliveryFinding.STUCK)._value.get() == 2  # institution and sender


class TestRefresh:
    async def test_tells_nothing_before_the_first_figures(self, world) -> None:
        operator = await world.principal(Role.OPERATOR)
        assert await world.services.deliveries.quality(operator, STEADY) is None

    async def test_that_fails_half_way_leaves_the_old_figures(self, world, monkeypatch) -> None:
        operator = await world.principal(Role.OPERATOR)
        service = world.services.deliveries
        await service.refresh()
        before = await service.quality(operator, STEADY)

        async def fail(*_: object) -> None:
            raise RuntimeError

        monkeypatch.setattr("app.persistence.deliveries.Deliveries.freeze_senders", fail)
        with pytest.raises(RuntimeError):
            await service.refresh()
        assert await service.quality(operator, STEADY) == before is not None
