"""What stays flat while registrations grow: the same work by hubs of each size, in turn."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg

from tests.benchmarks.stage import Spent, Stage, now
from tests.benchmarks.subscribers import subscribers
from tests.factories.grown import grow
from tests.factories.live_hub import a_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_BRINS = tuple(f"{number:02d}AA" for number in range(60))
_ROUNDS = 12
_MESSAGES = 10  # registrations of each institution that are reported about
_CONNECTIONS = 20
_BACK = 100  # numbers
_PAGE_SIZE = 50
_PAGE = """query ($brin: BRIN!, $after: String) { registrations(brin: $brin, first: 50, after: $after)
{ nodes { applicationId status statusSince } pageInfo { endCursor } } }"""
_ONE = """query ($brin: BRIN!, $id: ID!)
{ registrationByApplicationId(brin: $brin, applicationId: $id) { applicationId status } }"""
_STATISTICS = """query ($brin: BRIN!)
{ multipleRegistrationStatistics(schoolYear: 2026, brin: $brin) { asOf } }"""
_DISCONNECT = """
select pg_terminate_backend(pid) from pg_stat_activity where usename = 'koppelpunt'
"""


def table(folder: Path, sizes: Sequence[int]) -> str:
    """Return a table in Markdown: milliseconds of the hub and of PostgreSQL for a piece of work, by size.

    There is a hub for each size, all are loaded before anything is measured, and they do each piece of
    work in turn: how fast the machine is at one time or another is the same for all.
    """
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        grown = []
        for size in sizes:
            (home := folder / str(size)).mkdir()
            stage = Stage.set_up(home, _BRINS)
            stack.callback(stage.close)
            began = time.monotonic()
            runner.run(_prepare(stage))
            runner.run(_grow(stage, size))
            grown.append(_Grown(stage, size, runner))
            print(f"grown to {size:,} registrations in {time.monotonic() - began:.0f} s", flush=True)
        rows = [["work", *(f"{size:,} registrations" for size in sizes), "ratio"], ["---"] * (len(sizes) + 2)]
        for name, (work, units) in _WORK.items():
            spent = _in_turn([partial(work, one) for one in grown], units)
            rows.append([name, *map(str, map(_median, spent)), _ratio(spent[0], spent[-1])])
            print(f"measured: {name}", flush=True)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _in_turn(works: Sequence[Callable[[int], Spent]], units: int) -> list[list[Spent]]:
    """Return what a unit cost in each of the rounds, for each of these."""
    spent: list[list[Spent]] = [[] for _ in works]
    order = list(zip(works, spent, strict=True))
    for work in works:
        work(units)  # what is loaded on use
    for _ in range(_ROUNDS):
        for work, costs in order:
            costs.append(work(units))
        order.reverse()
    return spent


def _median(spent: Sequence[Spent]) -> Spent:
    return Spent(median(each.hub for each in spent), median(each.postgresql for each in spent))


def _ratio(small: Sequence[Spent], large: Sequence[Spent]) -> str:
    ratios = [
        Spent(much.hub / little.hub, much.postgresql / little.postgresql)
        for little, much in zip(small, large, strict=True)
    ]
    return "{0.hub:.2f} (PostgreSQL {0.postgresql:.2f})".format(_median(ratios))


async def _prepare(stage: Stage) -> None:
    """Report the one registration, which the other receiver follows, so that it has an entry."""
    stage.unconcerned.follow(stage.personal_number, "O-1")
    await asyncio.to_thread(stage.report)
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(stage.unconcerned.changes):  # noqa: ASYNC110 - it is asked for
            await asyncio.sleep(0.1)


async def _grow(stage: Stage, size: int) -> None:
    connection = await asyncpg.connect(stage.database_url.replace("//koppelpunt@", "//postgres@"))
    try:
        other = await connection.fetchval("select organisation_id from follow where reference = 'O-1'")
        await grow(connection, size, _BRINS, other)
        await connection.execute("checkpoint", timeout=3600)
        # Connections compare plans with what they cost when the tables were empty: the hub opens new ones.
        await connection.execute(_DISCONNECT)
    finally:
        await connection.close()


class _Grown:
    """A hub of one size, with the pieces of work; each returns what one of so many cost."""

    def __init__(self, stage: Stage, size: int, runner: asyncio.Runner) -> None:
        ended = stage.hub.run("statistics", "refresh", seconds=900)
        assert ended.returncode == 0, ended.stderr
        self._stage, self._size, self._runner = stage, size, runner
        self._chosen = chosen = random.Random(size)
        self._pages: list[tuple[str, str | None]] = [(brin, None) for brin in _BRINS]
        self._messages = [a_message(brin=brin) for brin in _BRINS * _MESSAGES]
        for begun in range(0, len(self._messages), 500):
            stage.sis.report(*self._messages[begun : begun + 500])
        chosen.shuffle(self._messages)

    def look_ups(self, units: int) -> Spent:
        return self._repeated(self._look_up, units)

    def pages(self, units: int) -> Spent:
        return self._repeated(self._page, units)

    def messages(self, units: int) -> Spent:
        return self._repeated(self._report, units)

    def statistics(self, units: int) -> Spent:
        return self._repeated(self._statistics, units)

    def deliveries(self, units: int) -> Spent:
        return self._runner.run(self._deliveries(units))

    def resumes(self, units: int) -> Spent:
        return self._runner.run(self._resumes(units))

    def _repeated(self, work: Callable[[], None], units: int) -> Spent:
        meter = self._stage.meter()
        for _ in range(units):
            work()
        return meter.per(units)

    def _look_up(self) -> None:
        number = self._chosen.randrange(2, self._size)
        variables = {"brin": _BRINS[number % len(_BRINS)], "id": f"G-{number}"}
        assert self._stage.sis.ask(_ONE, variables)["registrationByApplicationId"], variables

    def _page(self) -> None:
        brin, after = self._pages.pop(0)
        answer = self._stage.sis.ask(_PAGE, {"brin": brin, "after": after})["registrations"]
        assert answer["nodes"]
        whole = len(answer["nodes"]) == _PAGE_SIZE
        self._pages.append((brin, answer["pageInfo"]["endCursor"] if whole else None))

    def _report(self) -> None:
        """Move the one of these registrations that was moved least lately."""
        first = self._messages.pop(0)
        status = "OFFERED" if first["status"] == "RECEIVED" else "RECEIVED"
        moved = {**first, "messageId": str(uuid4()), "status": status, "occurredAt": now()}
        (result,) = self._stage.sis.report(moved)
        assert result["outcome"] == "ACCEPTED", result
        self._messages.append(moved)

    def _statistics(self) -> None:
        answer = self._stage.institution.ask(_STATISTICS, {"brin": _BRINS[0]})
        assert answer["multipleRegistrationStatistics"]

    async def _deliveries(self, units: int) -> Spent:
        stage = self._stage
        async with subscribers(stage.hub, stage.concerned, _CONNECTIONS) as crowd:
            meter = stage.meter()
            for count in range(1, units + 1):
                await asyncio.to_thread(stage.report)
                for subscriber in crowd:
                    await subscriber.until(count)
            return meter.per(units)

    async def _resumes(self, units: int) -> Spent:
        stage = self._stage
        meter = stage.meter()
        for _ in range(units):
            async with subscribers(stage.hub, stage.concerned, 1, after=stage.sent - _BACK) as (subscriber,):
                await subscriber.until(_BACK)
        return meter.per(units)


# Each piece of work, and how many units of it make a round.
_WORK: dict[str, tuple[Callable[[_Grown, int], Spent], int]] = {
    "a registration by its id (Q1)": (_Grown.look_ups, 100),
    "a page of 50 (Q2)": (_Grown.pages, 50),
    "a status message (M1)": (_Grown.messages, 50),
    f"a message and its delivery to {_CONNECTIONS} connections": (_Grown.deliveries, 25),
    f"to resume {_BACK} numbers back": (_Grown.resumes, 20),
    "statistics of an institution": (_Grown.statistics, 50),
}
