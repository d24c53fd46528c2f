"""What a feed keeps, and for how long."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest

from app.domain.errors import CursorExpiredError
from app.persistence.numbering import NumberingConnection
from app.persistence.unit_of_work import reading
from tests.factories.feed import now, number_pending, numbers
from tests.factories.world import a_message


class TestExpiry:
    async def _age(self, world, up_to):
        async with world.hub.database.connection() as connection:
            await connection.execute(
                "update feed_entry set numbered_at = numbered_at - interval '100 days' where number <= $1",
                up_to,
            )

    async def test_removes_what_is_older_in_bites_and_says_where_the_rest_begins(self, quiet):
        await quiet.report(a_message())
        async with NumberingConnection.open(quiet.hub.database) as numbering:
            await number_pending(numbering)
        async with quiet.hub.database.connection() as connection:
            await connection.execute(
                "insert into feed_entry"
                " select organisation_id, number + step, batch, event_id, follow_id, numbered_at"
                " from feed_entry cross join generate_series(1, 2599) step"
            )
            await connection.execute("update feed set last_number = 2600 where complete")
        await self._age(quiet, 2500)
        before = now() - timedelta(days=90)
        bites = []
        async with reading(quiet.hub.database) as unit:
            while bite := await unit.feeds.expire(before):
                bites.append(bite)
        assert bites == [1000, 1000, 500]
        position = await quiet.services.feed.position(quiet.cambo)
        assert (position.last_number, position.earliest_number) == (2600, 2501)
        for after in (0, 2499):
            with pytest.raises(CursorExpiredError) as expired:
                await quiet.services.feed.page(quiet.cambo, after, 10)
            assert expired.value.earliest == 2501
        assert numbers((await quiet.services.feed.page(quiet.cambo, 2500, 1000)).changes)[0] == 2501

    async def test_gives_no_number_again(self, world):
        await world.report(*(a_message() for _ in range(3)))
        await world.settled()
        await self._age(world, 3)
        assert await world.hub.housekeeping.now("feed-expiry") == 3
        await world.report(a_message())
        assert numbers(await world.hear(1, by=world.cambo, after=3)) == [4]
        with pytest.raises(CursorExpiredError):
            await world.hear(1, by=world.cambo, after=0)

    async def test_leaves_no_hole_where_the_clock_went_back(self, world):
        await world.report(*(a_message() for _ in range(5)))
        await world.settled()
        await self._age(world, 5)
        async with world.hub.database.connection() as connection:
            await connection.execute("update feed_entry set numbered_at = now() where number = 3")
        assert await world.hub.housekeeping.now("feed-expiry") == 2
        assert (await world.services.feed.position(world.cambo)).earliest_number == 3
        assert numbers(await world.hear(3, by=world.cambo, after=2)) == [3, 4, 5]

    async def test_tells_a_subscriber_that_has_fallen_behind(self, world):
        await world.report(*(a_message() for _ in range(500)))
        await world.settled()
        async with aclosing(world.services.subscription.changes(world.cambo, 0)) as changes:
            heard = [await anext(changes)]
            await self._age(world, 400)
            await world.hub.housekeeping.now("feed-expiry")
            with pytest.raises(CursorExpiredError) as expired:  # noqa: PT012 - it may hear of what it has
                while True:
                    heard.append(await asyncio.wait_for(anext(changes), 10))
        assert numbers(heard) == list(range(1, len(heard) + 1))
        assert len(heard) <= 200
        assert expired.value.earliest == 401

    async def test_tells_a_subscriber_of_whose_feed_nothing_is_left(self, world):
        await world.report(*(a_message() for _ in range(300)))
        await world.settled()
        async with aclosing(world.services.subscription.changes(world.cambo, 0)) as changes:
            await anext(changes)
            await self._age(world, 300)
            await world.hub.housekeeping.now("feed-expiry")
            with pytest.raises(CursorExpiredError) as expired:  # noqa: PT012 - it may hear of what it has
                while True:
                    await asyncio.wait_for(anext(changes), 10)
        assert expired.value.earliest == 301
