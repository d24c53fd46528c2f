"""The answer to a COMMIT is lost: nobody knows whether it was done, and still everything is there once."""

import asyncio
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.domain.errors import UnavailableError
from app.domain.status_message import Outcome
from app.feed.doorbell import Bell
from app.persistence.unit_of_work import unit_of_work
from tests.factories.world import a_message
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.slow


@pytest.fixture
async def proxy(database_url):
    """Stand between hub and PostgreSQL."""
    folder = parse_qs(urlsplit(database_url).query)["host"][0]
    with tempfile.TemporaryDirectory(prefix="proxy-", dir="/tmp") as own:  # a path short enough for a socket
        async with Proxy.listening(f"{folder}/.s.PGSQL.5432", Path(own) / ".s.PGSQL.5432") as listening:
            listening.url = database_url.split("?")[0] + f"?host={own}&port=5432"
            yield listening


class TestLostConnection:
    async def test_is_not_asked_to_roll_back(self, open_world, proxy):
        world = await open_world(background=False, database_url=proxy.url)
        async with asyncio.timeout(10):  # a statement may take 35 seconds
            with pytest.raises(UnavailableError):
                await self.lose_it_at_work(world.hub.database, proxy)
            assert await world.count("feed_entry") == 0, "another connection is all right"

    async def test_is_not_waited_for_when_it_was_idle(self, open_world, proxy):
        world = await open_world(background=False, database_url=proxy.url)
        database = world.hub.database
        async with database.connection(), database.connection(), database.connection():
            pass
        proxy.lose()
        async with asyncio.timeout(10):  # to say goodbye may take 35 seconds
            await database.distrust(silent=True)
            assert await world.count("feed_entry") == 0

    async def test_does_not_make_a_subscription_go_on_that_was_ended(self, open_world, proxy):
        """Its reading cannot be cancelled in order; that failure once took the place of the cancellation."""
        world = await open_world(background=False, database_url=proxy.url)
        await world.furnish()
        waiting = asyncio.create_task(world.hear(1, by=world.cambo, seconds=60))
        await asyncio.sleep(0.5)
        proxy.stall()
        for audience in world.services.subscription.tail._audiences.values():
            audience.poke_all()
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=15)
        assert waiting.cancelled()
        proxy.resume()

    async def lose_it_at_work(self, database, proxy):
        async with unit_of_work(database) as unit:
            await unit.feeds.position(1)
            proxy.lose()
            async with asyncio.timeout(0.1):
                await unit.feeds.position(1)


class TestSwallowedCommit:
    async def test_of_a_report_leaves_the_message_there_once(self, open_world, proxy):
        world = await open_world(background=False, database_url=proxy.url)
        await world.furnish()
        messages = [a_message() for _ in range(20)]
        for message in messages:
            proxy.swallow = 1
            with pytest.raises(UnavailableError):
                await world.report(message)
            assert proxy.swallow == 0
            (again,) = await world.report(message)
            assert (again.outcome, again.original_outcome) == (Outcome.DUPLICATE, Outcome.ACCEPTED)
        assert await world.count("status_event") == 20

    async def test_of_the_dispatcher_gives_each_number_once(self, open_world, proxy):
        through = await open_world(background=True, database_url=proxy.url)
        await through.furnish()
        world = await open_world(background=False)
        hearing = asyncio.create_task(through.hear(30, by=through.cambo, seconds=60))
        for step in range(30):
            proxy.swallow = int(step % 10 == 0)
            await world.services.status_messages.report(through.sis, [a_message()])
            through.hub.doorbell.ring(Bell.EVENTS)
            await world.settled()
        proxy.swallow = 0
        assert [change.number for change in await hearing] == list(range(1, 31))
        assert proxy.swallowed >= 3
        assert await world.count("feed_entry") == 30
