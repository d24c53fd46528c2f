"""Background jobs are done by one process of all, whatever becomes of it."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from app.domain.errors import UnavailableError
from app.persistence.advisory_locks import AdvisoryLock
from app.persistence.election import Candidacy
from app.services.housekeeping import Housekeeping, Job

pytestmark = pytest.mark.slow

OFTEN = timedelta(milliseconds=5)


class Work:
    """Counts what is done, and fails when told to."""

    def __init__(self):
        self.done: Counter[str] = Counter()
        self.failing = {}
        self._more = asyncio.Condition()

    def job(self, name, every=OFTEN, *, remembered=False):
        async def work():
            async with self._more:
                self.done[name] += 1
                self._more.notify_all()
            if name in self.failing:
                raise self.failing[name]

        return Job(name, every, work, remembered=remembered)

    async def times(self, name, more):
        """Wait until a job was done so many times more."""
        wanted = self.done[name] + more
        async with asyncio.timeout(20), self._more:
            await self._more.wait_for(lambda: self.done[name] >= wanted)


@asynccontextmanager
async def at_work(database, *jobs):
    task = asyncio.create_task(Housekeeping(database, jobs).run())
    try:
        yield task
    finally:
        await ended(task)


async def ended(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def dismiss(database):
    """Cut the connection of whoever is elected; return how many were."""
    async with database.connection() as connection:
        return await connection.fetchval(
            "select count(pg_terminate_backend(l.pid)) from pg_locks l"
            " join pg_database d on d.oid = l.database and d.datname = current_database()"
            " where l.locktype = 'advisory' and l.granted"
            " and ((l.classid::bigint << 32) | l.objid::bigint) = $1",
            AdvisoryLock.HOUSEKEEPER,
        )


@pytest.fixture
def work():
    return Work()


class TestHousekeeping:
    async def test_is_done_by_one_process_and_taken_over_when_it_ends(self, database, work):
        async with at_work(database, work.job("first")) as first:
            await work.times("first", 3)
            async with at_work(database, work.job("second")):
                await work.times("first", 100)
                assert work.done["second"] == 0
                await ended(first)
                after = work.done["first"]
                await work.times("second", 3)
                assert work.done["first"] == after

    async def test_goes_on_after_its_connection_was_cut(self, database, work):
        async with at_work(database, work.job("job")):
            await work.times("job", 3)
            assert await dismiss(database) == 1
            async with asyncio.timeout(20), database.connection() as connection:
                while not await connection.fetchval(  # noqa: ASYNC110 - a table
                    "select count(*) from pg_stat_activity where datname = current_database()"
                    " and application_name like 'koppelpunt housekeeper%'"
                ):
                    await asyncio.sleep(0.02)
            await work.times("job", 3)
            assert await dismiss(database) == 1

    @pytest.mark.parametrize("error", [RuntimeError("unforeseen"), UnavailableError()])
    async def test_lets_no_failing_job_stop_the_others(self, database, work, error):
        work.failing["bad"] = error
        async with at_work(database, work.job("bad", 50 * OFTEN), work.job("good")):
            await work.times("bad", 2)
            await work.times("good", 10)
            await work.times("bad", 2)

    async def test_lets_no_hanging_job_stop_the_others(self, database, work):
        async with at_work(database, Job("bad", OFTEN, asyncio.Event().wait), work.job("good")):
            await work.times("good", 10)

    async def test_freezes_the_daily_figures_beside_other_jobs(self, world):
        async with asyncio.timeout(20):
            while not await world.count("statistics_snapshot"):  # noqa: ASYNC110 - a table
                await asyncio.sleep(0.05)

    async def test_does_a_job_by_name_for_who_asks(self, world):
        assert await world.hub.housekeeping.now("feed-expiry") == 0


class TestCandidacy:
    async def test_is_over_when_its_process_hangs(self, database):
        async with (
            Candidacy.standing(database, AdvisoryLock.HOUSEKEEPER, "test", limit="300ms") as hanging,
            Candidacy.standing(database, AdvisoryLock.HOUSEKEEPER, "test", limit="10s") as other,
        ):
            assert await hanging.try_to_lead()
            async with asyncio.timeout(10):
                while not await other.try_to_lead():  # noqa: ASYNC110 - the lock rings no bell
                    await asyncio.sleep(0.05)


async def noted(database):
    """Wait until a job is known to have been done."""
    async with asyncio.timeout(20), database.connection() as connection:
        while not await connection.fetchval("select count(*) from finished_job"):  # noqa: ASYNC110 - a table
            await asyncio.sleep(0.01)


class TestRememberedJob:
    async def test_is_not_begun_anew_by_each_who_is_elected(self, database, work):
        day = timedelta(days=1)
        slow, other, often = work.job("slow", day, remembered=True), work.job("other", day), work.job("often")
        for _ in range(3):
            async with at_work(database, slow, other, often):
                await work.times("other", 1)
                await work.times("often", 10)
                await noted(database)
        assert work.done["slow"] == 1

    @pytest.mark.parametrize("moved", ["- interval '59 minutes 59 seconds'", "+ interval '1 year'"])
    async def test_is_begun_when_its_time_has_come_or_the_clock_has_gone_back(self, database, work, moved):
        slow = work.job("slow", timedelta(hours=1), remembered=True)
        async with at_work(database, slow):
            await work.times("slow", 1)
            await noted(database)
        async with database.connection() as connection:
            await connection.execute(f"update finished_job set at = at {moved}")  # noqa: S608 - from above
        async with at_work(database, slow):
            await work.times("slow", 1)

    async def test_is_done_also_where_nothing_is_remembered(self, database, work):
        async with database.connection() as connection:
            await connection.execute("drop table finished_job")
        async with at_work(database, work.job("slow", timedelta(seconds=0.2), remembered=True)):
            await work.times("slow", 2)

    async def test_that_failed_is_tried_again(self, database, work):
        slow = work.job("slow", timedelta(days=1), remembered=True)
        work.failing["slow"] = RuntimeError("unforeseen")
        async with at_work(database, slow):
            await work.times("slow", 1)
        del work.failing["slow"]
        async with at_work(database, slow):
            await work.times("slow", 1)
