"""SQLModel's sessions: what says that the database, and not the request, is at fault."""

from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from app.domain.errors import UnavailableError


async def execute(session, *statements):
    for statement in statements:
        await (await session.connection()).execute(text(statement))


class TestSession:
    @pytest.mark.parametrize(
        "statements",
        [
            pytest.param(["set local statement_timeout = 10", "select pg_sleep(5)"], id="too slow"),
            pytest.param(["set transaction read only", "create table t ()"], id="a copy that only reads"),
            pytest.param(["select pg_terminate_backend(pg_backend_pid())"], id="cut off"),
        ],
    )
    async def test_tells_what_the_database_cannot_do_now(self, database, statements):
        with pytest.raises(UnavailableError):
            async with database.session() as session:
                await execute(session, *statements)

    async def test_tells_that_all_connections_are_in_use(self, database, monkeypatch):
        monkeypatch.setattr(database.engine.sync_engine.pool, "_timeout", 0.1)
        async with AsyncExitStack() as stack:
            for _ in range(5):
                await execute(await stack.enter_async_context(database.session()), "select 1")
            with pytest.raises(UnavailableError):
                async with database.session() as session:
                    await execute(session, "select 1")
