"""Real parts for every test: one PostgreSQL, one migrated template, a clone of it per test."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING

import asyncpg
import pytest

from app.bootstrap import Hub
from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer
from app.persistence.migrations import migrate
from app.services.keys import load_pseudonym_keys, load_signing_keys
from app.settings import load_settings
from tests.factories.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from app.settings import Settings

_TEMPLATE = "hub_template"


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the PostgreSQL that comes along, and return its address."""
    server = EmbeddedServer(tmp_path_factory.mktemp("postgresql"))
    server.start()
    yield server.url
    server.stop()


def _in(url: str, name: str) -> str:
    return url.replace("/koppelpunt?", f"/{name}?")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _drop(url: str, name: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await _execute(url, f"drop database {name} with (force)")
            except asyncpg.InsufficientPrivilegeError:
                # Autovacuum is at work in it, and not ours to end.
                await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def template(postgresql: str) -> str:
    """Migrate a database once, to be cloned."""
    asyncio.run(_execute(postgresql, f"create database {_TEMPLATE}"))
    migrate(_in(postgresql, _TEMPLATE))
    return postgresql


@pytest.fixture
async def database_url(template: str) -> AsyncIterator[str]:
    """Clone the template for one test."""
    name = f"test_{secrets.token_hex(6)}"
    await _execute(template, f"create database {name} template {_TEMPLATE}")
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
