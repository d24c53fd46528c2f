"""What has to be done now and then: a list of jobs, done by one process of all that share the database."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from app.domain.errors import UnavailableError
from app.persistence.advisory_locks import AdvisoryLock
from app.persistence.database import UNAVAILABLE
from app.persistence.election import Candidacy
from app.persistence.retry import CONTENTION
from app.persistence.unit_of_work import reading
from app.telemetry import HOUSEKEEPING_JOBS, HOUSEKEEPING_LEADS, log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from app.persistence.database import Database

_LIMIT = "10s"
_CONFIRM_SECONDS = 2.0
_TRY_TO_LEAD_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_AGAIN_AT_MOST = timedelta(minutes=5)
_AGAIN_SOON = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do each time that `every` has passed, and whenever a process has been elected.

    So it comes more often than that, unless it is `remembered`: then an election does not begin it anew.
    For a moment two processes may be at it: a leader that lost its connection ends its jobs when it notices.
    It looks for itself what is due, and works in small bites.
    """

    name: str
    every: timedelta
    work: Callable[[], Awaitable[object]]
    remembered: bool = False


class Housekeeping:
    """Does the jobs while this process is the elected one; each by itself, so that none waits for another."""

    def __init__(self, database: Database, jobs: Iterable[Job]) -> None:
        self._database = database
        self._jobs = {job.name: job for job in jobs}

    async def run(self) -> None:
        """Stand for election for as long as the process lives; every failure ends in a new try."""
        while True:
            try:
                async with Candidacy.standing(
                    self._database, AdvisoryLock.HOUSEKEEPER, "housekeeper", limit=_LIMIT
                ) as candidacy:
                    while not await candidacy.try_to_lead():  # noqa: ASYNC110 - the lock rings no bell
                        await asyncio.sleep(_TRY_TO_LEAD_SECONDS)
                    await self._lead(candidacy)
            except UNAVAILABLE as error:
                log.warning("housekeeping_lost", error=type(error).__name__)
            except Exception:
                log.exception("housekeeping_failed")
            await asyncio.sleep(_RETRY_SECONDS)

    async def now(self, name: str) -> object:
        """Do one job, whoever is elected; return what it returns and raise what it raises."""
        return await self._jobs[name].work()

    async def _lead(self, candidacy: Candidacy) -> None:
        log.info("housekeeping_leads")
        HOUSEKEEPING_LEADS.set(1)
        at_work = [
            asyncio.create_task(self._keep_doing(job), name=f"job-{job.name}") for job in self._jobs.values()
        ]
        try:
            while True:
                await candidacy.confirm()
                await asyncio.sleep(_CONFIRM_SECONDS)
        finally:
            HOUSEKEEPING_LEADS.set(0)
            for task in at_work:
                task.cancel()
            for task in at_work:
                with suppress(asyncio.CancelledError):
                    await task

    async def _keep_doing(self, job: Job) -> None:
        if job.remembered:
            await asyncio.sleep((await self._until_due(job)).total_seconds())
        while True:
            pause = job.every
            try:
                await job.work()
            except (UnavailableError, *CONTENTION):
                pause = min(pause, _AGAIN_SOON)
                HOUSEKEEPING_JOBS.labels(job.name, "unavailable").inc()
            except Exception:
                pause = min(pause, _AGAIN_AT_MOST)
                HOUSEKEEPING_JOBS.labels(job.name, "failed").inc()
                log.exception("job_failed", job=job.name)
            else:
                HOUSEKEEPING_JOBS.labels(job.name, "done").inc()
                if job.remembered:
                    await self._note(job)
            await asyncio.sleep(pause.total_seconds())

    # That a job is remembered spares work and is no more: where it fails, the job is done once too often.

    async def _until_due(self, job: Job) -> timedelta:
        since = None
        try:
            async with reading(self._database) as unit:
                since = await unit.finished_jobs.since(job.name)
        except Exception as error:  # noqa: BLE001 - see above
            log.warning("job_not_remembered", job=job.name, error=type(error).__name__)
        return timedelta() if since is None else max(timedelta(), job.every - since)

    async def _note(self, job: Job) -> None:
        try:
            async with reading(self._database) as unit:
                await unit.finished_jobs.note(job.name)
        except Exception as error:  # noqa: BLE001 - see above
            log.warning("job_not_remembered", job=job.name, error=type(error).__name__)
