"""Connections are lent one after another, in turn, and none that is in doubt."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from app.domain.errors import UnavailableError

_PID = "select pg_backend_pid()"
_OPEN = "select count(*) from pg_stat_activity where datname = current_database()"


async def pid(database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval(_PID))


class TestConnection:
    async def test_is_handed_to_the_next_one(self, database) -> None:
        assert await pid(database) == await pid(database)

    async def test_is_a_new_one_after_a_while_and_no_old_one_stays_open(self, database) -> None:
        database._lender._life = 0.1
        used = []
        for _ in range(5):
            first = await pid(database)
            assert await pid(database) == first
            await asyncio.sleep(0.15)
            assert await pid(database) == first  # the last time
            used.append(first)
        assert len(set(used)) == 5
        assert not database._lender._use_until
        async with asyncio.timeout(10), database.connection() as connection:
            # PostgreSQL takes a moment to end them; the pool itself has one at hand.
            while await connection.fetchval(_OPEN) > 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def test_is_waited_for_in_turn(self, database) -> None:
        together = [asyncio.create_task(pid(database)) for _ in range(50)]
        assert 1 <= len(set(await asyncio.gather(*together))) <= 10

    async def test_is_not_waited_for_without_end(self, database) -> None:
        lender = database._lender
        held = [await lender.borrow() for _ in range(10)]
        lender._patience = 0.01
        with pytest.raises(UnavailableError):
            await pid(database)
        lender._patience = 10
        for connection in held:
            await lender.give_back(connection)
        assert len({await pid(database) for _ in range(3)}) == 1

    async def test_goes_to_the_next_when_who_waits_has_left(self, database) -> None:
        lender = database._lender
        held = [await lender.borrow() for _ in range(10)]
        leaving, staying = (asyncio.create_task(pid(database)) for _ in range(2))
        await asyncio.sleep(0)
        await lender.give_back(held.pop())  # the turn of the first
        leaving.cancel()
        async with asyncio.timeout(10):
            assert await staying
        for connection in held:
            await lender.give_back(connection)
        async with asyncio.timeout(10):
            assert len(await asyncio.gather(*(pid(database) for _ in range(30)))) == 30

    async def test_on_which_a_statement_failed_is_whole_again(self, database) -> None:
        for _ in range(30):
            with pytest.raises(asyncpg.PostgresError):
                async with database.connection() as connection:
                    await connection.execute("select 1 / 0")
        assert await pid(database)

    async def test_that_was_cut_is_replaced(self, database) -> None:
        first = await pid(database)
        async with database.connection() as one, database.connection() as other:
            for victim in {first} - {await other.fetchval(_PID)}:
                await other.execute("select pg_terminate_backend($1)", victim)
            del one
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await pid(database) != first
                except UnavailableError:
                    continue
                break

    async def test_is_not_used_again_once_it_is_doubted(self, database) -> None:
        idle = await pid(database)
        async with database.connection() as lent:
            busy = await lent.fetchval(_PID)
            await database.distrust(silent=False)
        assert {idle, busy}.isdisjoint([await pid(database) for _ in range(3)])

    async def test_that_waits_for_an_answer_ends_when_another_got_none(self, database) -> None:
        database._lender._grace = 0.1
        async with asyncio.timeout(10):  # the statement would take twice as long
            with pytest.raises(UnavailableError):
                await self.wait_for_long(database)
        assert await pid(database)

    async def wait_for_long(self, database) -> None:
        async with database.connection() as waiting:
            await database.distrust(silent=True)
            await waiting.execute("select pg_sleep(20)")

    async def test_that_is_given_back_in_time_is_not_cut_in_the_hands_of_another(self, database) -> None:
        database._lender._grace = 0.1
        async with database.connection() as answered:
            await database.distrust(silent=True)
            await answered.execute("select 1")
        async with database.connection() as another:
            assert await another.fetchval("select 1 from pg_sleep(0.3)") == 1

    async def test_in_use_is_left_alone_when_the_other_was_answered(self, database) -> None:
        database._lender._grace = 0.0
        async with database.connection() as connection:
            await database.distrust(silent=False)
            assert await connection.fetchval("select 1 from pg_sleep(0.2)") == 1
