"""A live hub on a database of its own, with clients that were registered by command."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil
import pytest

from app.domain.access import Role
from app.domain.catalogue import Institution, Programme
from app.persistence.database import Database
from app.services.catalogue import CatalogueService
from app.services.clients import ClientService
from tests.factories.identity import ec_key, jwks
from tests.factories.live_hub import LiveClient, LiveHub
from tests.factories.world import BRIN, FOREIGN_BRIN, OTHER_BRIN, PROGRAMME, an_oin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
    from pathlib import Path

INSTITUTIONS = [Institution(brin, f"Institution {brin}") for brin in (BRIN, OTHER_BRIN, FOREIGN_BRIN)]
_TABLES = (
    "status_message", "refused_message", "registration", "student", "status_event", "pending_event", "follow",
    "feed", "feed_entry", "webhook", "client",
)  # fmt: skip
PROGRAMMES = [Programme(PROGRAMME, "Software developer", 4)]


def in_a_thread(work: Coroutine[None, None, None]) -> None:
    """Run a coroutine to its end although a loop may be running here."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def a_hub(
    template: str, key_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., LiveHub]]:
    """Make hubs that are not started yet, each on a clone of the template."""
    made: list[LiveHub] = []
    names: list[str] = []

    async def execute(*statements: str) -> None:
        connection = await asyncpg.connect(template)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def make(**environment: object) -> LiveHub:
        name = f"live_{secrets.token_hex(6)}"
        names.append(name)
        in_a_thread(execute(f"create database {name} template hub_template"))
        settings = {
            "database_url": template.replace("/koppelpunt?", f"/{name}?"),
            "broadcast_url": "memory://",
            **key_files,
            **environment,
        }
        folder = tmp_path_factory.mktemp("live")
        hub = LiveHub(folder, {f"KOPPELPUNT_{k.upper()}": str(v) for k, v in settings.items()})
        made.append(hub)
        return hub

    yield make
    for hub in made:
        hub.stop()
    in_a_thread(execute(*(f"drop database {name} with (force)" for name in names)))


@pytest.fixture(scope="session")
def hub(a_hub: Callable[..., LiveHub]) -> LiveHub:
    """Run a hub with a small catalogue, imported by command, for as long as the tests do."""
    running = a_hub(log_level="DEBUG")
    institutions = ["brin,name", *(f"{one.brin},{one.name}" for one in INSTITUTIONS)]
    programmes = ["crebo,name,level", *(f"{one.code},{one.name},{one.level}" for one in PROGRAMMES)]
    for name, lines in {"institutions.csv": institutions, "programmes.csv": programmes}.items():
        (running.folder / name).write_text("\n".join(lines), encoding="utf-8")
    ended = running.run("catalogue", "import", "institutions.csv", "programmes.csv")
    assert (ended.returncode, ended.stderr) == (0, "")
    running.start()
    return running


@pytest.fixture(scope="session")
def sis(hub: LiveHub) -> LiveClient:
    """Register a SIS vendor with a mandate for two institutions, by command."""
    return hub.add_client("sis", "--brin", BRIN, "--brin", OTHER_BRIN)


async def with_database(hub: LiveHub, work: Callable[[Database], Awaitable[object]]) -> object:
    """Do something with the database of a hub."""
    database = Database(hub.environment["KOPPELPUNT_DATABASE_URL"], pool_size=1)
    await database.open()
    try:
        return await work(database)
    finally:
        await database.close()


@pytest.fixture(scope="session")
def join() -> Callable[..., Awaitable[LiveClient]]:
    """Register clients as the command does, without the seconds that a process takes."""

    async def joined(hub: LiveHub, role: Role, *brins: str, oin: str | None = None) -> LiveClient:
        async def add(database: Database) -> str:
            return await ClientService(database).add_client(
                name=f"a {role}", role=role, oin=oin or an_oin(), brins=brins, jwks=jwks(ec_key())
            )

        return LiveClient(hub, str(await with_database(hub, add)), hub.key_file)

    return joined


@pytest.fixture
async def transfer_system(hub: LiveHub, join: Callable[..., Awaitable[LiveClient]]) -> LiveClient:
    """Register a transfer system whose feed is still empty."""
    return await join(hub, Role.OS)


@pytest.fixture(scope="session")
async def introspective(
    a_hub: Callable[..., LiveHub], join: Callable[..., Awaitable[LiveClient]]
) -> LiveClient:
    """Run a hub that lets callers introspect, as tools of others want it; return a transfer system there."""
    made = a_hub(introspection=True)
    await with_database(made, lambda database: CatalogueService(database).put(INSTITUTIONS, PROGRAMMES))
    await asyncio.to_thread(made.start)
    return await join(made, Role.OS)


@pytest.fixture
async def own_hub(a_hub: Callable[..., LiveHub]) -> AsyncIterator[LiveHub]:
    """Make a hub with a catalogue that a test may start, end and start again."""
    made = a_hub()
    await with_database(made, lambda database: CatalogueService(database).put(INSTITUTIONS, PROGRAMMES))
    yield made
    await asyncio.to_thread(made.stop)


@pytest.fixture
def work(hub: LiveHub) -> Callable[[], float]:
    """Return what tells how many seconds of CPU the hub has used so far."""
    assert hub.process is not None
    top = psutil.Process(hub.process.pid)
    processes = [top, *top.children(recursive=True)]

    def used() -> float:
        return sum(sum(one.cpu_times()[:2]) for one in processes if one.is_running())

    return used


@pytest.fixture
async def written(hub: LiveHub) -> AsyncIterator[Callable[[], Any]]:
    """Return what counts all rows, once what went before has its numbers."""
    connection = await asyncpg.connect(hub.environment["KOPPELPUNT_DATABASE_URL"])
    counts = ", ".join(f"(select count(*) from {table})" for table in _TABLES)  # noqa: S608 - our own names

    async def count() -> tuple[int, ...]:
        return tuple(await connection.fetchrow(f"select {counts}"))  # type: ignore[arg-type]

    async with asyncio.timeout(20):
        while await connection.fetchval("select count(*) from pending_event"):  # noqa: ASYNC110 - a table
            await asyncio.sleep(0.02)
    yield count
    await connection.close()
