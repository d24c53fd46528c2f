"""What tests of several subjects begin with."""

from __future__ import annotations

import asyncpg
import pytest

from tests.factories.receiver import an_authority, listening
from tests.factories.webhooks import Bench
from tests.factories.world import a_personal_number


@pytest.fixture
async def quiet(open_world):
    """Open a hub that numbers and delivers nothing by itself."""
    opened = await open_world(background=False)
    await opened.furnish()
    return opened


@pytest.fixture
async def connect(database_url):
    """Open connections of a test's own."""
    opened = []

    async def open_one():
        opened.append(await asyncpg.connect(database_url))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.terminate()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return an_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def bench(open_world, authority) -> Bench:
    world = await open_world(background=False)
    await world.furnish()
    return Bench(world, authority.ca_file)


@pytest.fixture
async def receiver(authority):
    async with listening(authority.server) as running:
        yield running


@pytest.fixture
async def followed(bench) -> str:
    number = a_personal_number()
    await bench.world.follow(number, "S-1")
    return number
