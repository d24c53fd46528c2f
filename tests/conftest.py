"""Real parts for every test: one PostgreSQL, one migrated template, a clone of it per test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import asyncpg
import pytest

from app.bootstrap import Hub
from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer
from app.persistence.embedded.locks import alone
from app.persistence.migrations import migrate
from app.services.keys import load_pseudonym_keys, load_signing_keys
from app.settings import load_settings
from tests.factories.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from app.settings import Settings

_TEMPLATE = "hub_template"
_FURNISHED = f"hub_furnished_{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def postgresql(together: Path) -> Iterator[str]:
    """Run the PostgreSQL that comes along, one for all processes, and return its address."""
    with EmbeddedServer(together / "postgresql", durable=False) as server:
        yield server.url


def _in(url: str, name: str) -> str:
    return url.replace("/koppelpunt?", f"/{name}?")


async def _execute(url: str, statement: str, *values: object) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement, *values)
    finally:
        await connection.close()


async def _clone(url: str, template: str, name: str) -> None:
    await _execute(url, f"create database {name} template {template} strategy file_copy")


async def _drop(url: str, name: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await _execute(url, f"drop database {name} with (force)")
            except asyncpg.InsufficientPrivilegeError:
                # Autovacuum is at work in it, and not ours to end.
                await asyncio.sleep(0.1)
            else:
                return


@pytest.fixture(scope="session")
def template(postgresql: str, together: Path) -> str:
    """Migrate a database once, to be cloned."""
    with alone(together / "template.lock"):
        there = "select true from pg_database where datname = $1"
        if not asyncio.run(_execute(postgresql, there, _TEMPLATE)):
            unfinished = f"{_TEMPLATE}_{secrets.token_hex(6)}"
            asyncio.run(_execute(postgresql, f"create database {unfinished}"))
            migrate(_in(postgresql, unfinished))
            asyncio.run(_execute(postgresql, f"alter database {unfinished} rename to {_TEMPLATE}"))
    return postgresql


@pytest.fixture(scope="session")
def furnished(template: str, key_files: dict[str, Path]) -> str:
    """Furnish a clone once, to be cloned again; its callers are those of this process alone."""

    async def furnish() -> None:
        await _clone(template, _TEMPLATE, _FURNISHED)
        settings = load_settings(
            database_url=_in(template, _FURNISHED), broadcast_url="memory://", **key_files
        )
        async with Hub.open(settings, background=False) as hub:
            await World(hub).furnish()

    with ThreadPoolExecutor(1) as pool:  # a loop may be running here
        pool.submit(asyncio.run, furnish()).result()
    return template


@pytest.fixture
async def database_url(template: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Clone a template for one test: the furnished one where a hub is to be opened, else an empty one."""
    name = f"test_{secrets.token_hex(6)}"
    if "open_world" in request.fixturenames:
        request.getfixturevalue("furnished")
        await _clone(template, _FURNISHED, name)
    else:
        await _clone(template, _TEMPLATE, name)
    yield _in(template, name)
    await _drop(template, name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Open the database of one test."""
    opened = Database(database_url, pool_size=10)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make the two key files."""
    folder = tmp_path_factory.mktemp("keys")
    files = {
        "pseudonym_key_file": folder / "pseudonym-keys.json",
        "signing_keys_file": folder / "signing-keys.json",
    }
    load_pseudonym_keys(files["pseudonym_key_file"], create=True)
    load_signing_keys(files["signing_keys_file"], create=True)
    return files


@pytest.fixture
def settings(database_url: str, key_files: dict[str, Path]) -> Settings:
    """Return the settings of a hub on the database of one test."""
    return load_settings(database_url=database_url, broadcast_url="memory://", **key_files)


@pytest.fixture
async def open_world(settings: Settings) -> AsyncIterator[Callable[..., object]]:
    """Open as many hubs on one database as a test wants."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(*, background: bool = True, **changed: object) -> World:
            hub = await stack.enter_async_context(
                Hub.open(settings.model_copy(update=changed), background=background)
            )
            return World(hub)

        yield opened


@pytest.fixture
async def world(open_world: Callable[..., object]) -> World:
    """Open a hub with a small catalogue, a SIS vendor, CAMBO and two transfer systems."""
    opened: World = await open_world()  # type: ignore[misc]
    await opened.furnish()
    return opened
