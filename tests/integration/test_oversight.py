"""What the operator sees of the delivery, and what a receiver sees of its own acknowledgements."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.access import Role
from app.domain.codes import today
from app.domain.errors import ForbiddenError, UnavailableError
from app.domain.vetting import RunningOut, VettingRule
from app.services import oversight
from app.services.oversight import OversightService
from app.telemetry import OLDEST_PENDING, OLDEST_UNACKNOWLEDGED, RECEIVERS_BEHIND, RUNS_OUT
from graphql_schema.schema import schema
from tests.factories.certificates import authority
from tests.factories.world import a_message, a_personal_number

pytestmark = pytest.mark.slow

RECEIVERS = """query ($first: Int! = 50, $after: String) { receivers(first: $first, after: $after) {
  nodes { organisation { oin name role } lastNumber at acknowledged acknowledgedAt behind behindSince }
  edges { cursor node { lastNumber } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


async def ask(world, by, document, **variables):
    result = await schema.execute(document, variable_values=variables, context_value=world.hub.context(by))
    assert result.errors is None, result.errors
    return result.data


@pytest.fixture
async def operator(world):
    return await world.principal(Role.OPERATOR)


async def three_changes(world) -> list[datetime]:
    """Give the transfer system three numbers; return when."""
    number = a_personal_number()
    await world.follow(number, "S-1")
    for _ in range(3):
        await world.report(a_message(personal_number=number))
        await world.settled()
    async with world.hub.database.connection() as connection:
        rows = await connection.fetch(
            "select numbered_at from feed_entry where organisation_id = $1 order by number",
            world.os.organisation_id,
        )
    return [row["numbered_at"] for row in rows]


class TestReceivers:
    async def test_shows_how_far_each_is_and_since_when_it_is_behind(self, world, operator):
        given = await three_changes(world)
        await world.services.feed.acknowledge(world.os, 1)
        found = {
            one.organisation.oin: one for one in await world.services.oversight.receivers(operator, 0, 50)
        }
        assert found.keys() == {world.os.oin, world.other_os.oin, world.cambo.oin}
        here = found[world.os.oin]
        assert (here.last_number, here.acknowledged, here.behind) == (3, 1, 2)
        assert (here.at, here.behind_since) == (given[2], given[1])
        assert here.acknowledged_at is not None
        assert (found[world.cambo.oin].behind, found[world.cambo.oin].acknowledged_at) == (3, None)
        assert (found[world.other_os.oin].behind, found[world.other_os.oin].behind_since) == (0, None)

    async def test_shows_nobody_behind_who_has_everything(self, world, operator):
        await three_changes(world)
        await world.services.feed.acknowledge(world.os, 3)
        (here,) = (
            one
            for one in await world.services.oversight.receivers(operator, 0, 50)
            if one.organisation.oin == world.os.oin
        )
        assert (here.behind, here.behind_since) == (0, None)

    async def test_is_paged(self, world, operator):
        seen, cursor = [], None
        while True:
            page = (await ask(world, operator, RECEIVERS, first=2, after=cursor))["receivers"]
            seen += [node["organisation"]["oin"] for node in page["nodes"]]
            assert len(page["nodes"]) == len(page["edges"]) <= 2
            cursor = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert sorted(seen) == sorted({world.os.oin, world.other_os.oin, world.cambo.oin})

    async def test_is_for_the_operator_only(self, world):
        for caller in (world.sis, world.os, world.cambo, world.institution):
            with pytest.raises(ForbiddenError):
                await world.services.oversight.receivers(caller, 0, 50)
            with pytest.raises(ForbiddenError):
                await world.services.oversight.delivery_state(caller)


class TestDeliveryState:
    async def test_shows_what_waits_for_its_number(self, open_world):
        world = await open_world(background=False)
        await world.furnish()
        operator = await world.principal(Role.OPERATOR)
        before = datetime.now(UTC)
        await world.report(a_message(), a_message())
        state = await world.services.oversight.delivery_state(operator)
        assert (state.pending_events, state.dispatching) == (2, False)
        assert before <= state.oldest_pending_at <= datetime.now(UTC)
        assert (state.receivers_behind, state.oldest_unacknowledged_at) == (0, None)

    async def test_shows_what_waits_to_be_acknowledged(self, world, operator):
        given = await three_changes(world)
        data = await ask(
            world,
            operator,
            """{ deliveryState {
              pendingEvents oldestPendingAt receiversBehind oldestUnacknowledgedAt dispatching } }""",
        )
        state = data["deliveryState"]
        assert (state["pendingEvents"], state["oldestPendingAt"]) == (0, None)
        assert (state["receiversBehind"], state["dispatching"]) == (2, True)
        assert datetime.fromisoformat(state["oldestUnacknowledgedAt"]) == given[0]
        await world.services.feed.acknowledge(world.os, 3)
        await world.services.feed.acknowledge(world.cambo, 2)
        after = await world.services.oversight.delivery_state(operator)
        assert (after.receivers_behind, after.oldest_unacknowledged_at) == (1, given[2])


class TestGauges:
    async def test_say_how_old_the_oldest_is(self, open_world):
        world = await open_world(background=False)
        await world.furnish()
        await world.report(a_message())
        later = datetime.now(UTC) + timedelta(minutes=5)
        await OversightService(world.hub.database, lambda: later, VettingRule()).observe()
        assert 299 < OLDEST_PENDING._value.get() < 310
        assert OLDEST_UNACKNOWLEDGED._value.get() == 0
        assert RECEIVERS_BEHIND._value.get() == 0

    async def test_say_what_runs_out_first_of_those_that_count(self, world):
        vetting, oin = world.services.vetting, world.os.oin
        now = datetime.now(UTC)
        service = OversightService(
            world.hub.database, lambda: now, VettingRule(penetration_test_days=10), now + timedelta(days=3)
        )

        async def left() -> dict[str, float]:
            await service.observe()
            return {what: RUNS_OUT.labels(what)._value.get() / 86_400 for what in RunningOut}

        assert await left() == {"certificate": math.inf, "penetration_test": math.inf, "hub_certificate": 3}
        for days in (5, 20):  # the longer one counts
            await vetting.add_certificate(
                world.os.client_id, authority().client(oin, life=timedelta(days=days)).pem
            )
        await vetting.add_certificate(
            world.other_os.client_id, authority().client(world.other_os.oin, life=timedelta(days=2)).pem
        )
        await vetting.record_penetration_test(world.os.client_id, today(now) - timedelta(days=12))
        found = await left()
        assert 1.9 < found["certificate"] <= 2
        assert -2 <= found["penetration_test"] < -1, "the days after the last good one"
        await world.services.clients.revoke_client(world.other_os.client_id)
        assert 19.9 < (await left())["certificate"] <= 20

    async def test_are_renewed_without_being_asked(self, world, monkeypatch):
        monkeypatch.setattr(oversight, "_EVERY_SECONDS", 0.01)
        service = world.services.oversight
        task = asyncio.create_task(service.run())
        await three_changes(world)
        async with asyncio.timeout(10):
            while RECEIVERS_BEHIND._value.get() != 2:  # noqa: ASYNC110 - a gauge rings no bell
                await asyncio.sleep(0.01)
        assert OLDEST_UNACKNOWLEDGED._value.get() > 0
        task.cancel()

    async def test_say_nothing_while_the_database_does_not_answer(self, world, monkeypatch):
        service = OversightService(world.hub.database, lambda: datetime.now(UTC), VettingRule())

        async def fail():
            failed.set()
            raise UnavailableError

        failed = asyncio.Event()
        monkeypatch.setattr(service, "observe", fail)
        task = asyncio.create_task(service.run())
        await asyncio.wait_for(failed.wait(), 5)
        await asyncio.sleep(0)
        assert all(
            math.isnan(gauge._value.get())
            for gauge in (
                OLDEST_PENDING,
                OLDEST_UNACKNOWLEDGED,
                RECEIVERS_BEHIND,
                *(RUNS_OUT.labels(what) for what in RunningOut),
            )
        )
        task.cancel()


class TestFeed:
    async def test_shows_what_was_acknowledged(self, world):
        await three_changes(world)
        document = "{ feed { lastNumber acknowledged acknowledgedAt } }"
        assert (await ask(world, world.os, document))["feed"] == {
            "lastNumber": 3,
            "acknowledged": 0,
            "acknowledgedAt": None,
        }
        acknowledge = """mutation { acknowledgeStatusChanges(input: {number: 2}) {
          acknowledged feed { acknowledged acknowledgedAt } } }"""
        payload = (await ask(world, world.os, acknowledge))["acknowledgeStatusChanges"]
        assert payload["acknowledged"] == payload["feed"]["acknowledged"] == 2
        feed = (await ask(world, world.os, document))["feed"]
        assert feed["acknowledged"] == 2
        assert feed["acknowledgedAt"] == payload["feed"]["acknowledgedAt"] is not None
