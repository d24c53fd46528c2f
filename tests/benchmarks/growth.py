"""What stays flat while registrations grow: the same work at each size, on one hub."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import asyncpg

from tests.benchmarks.stage import Spent, Stage
from tests.benchmarks.subscribers import subscribers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_BRINS = tuple(f"{number:02d}AA" for number in range(60))
_YEAR = 2026
_CONNECTIONS = 20
_PAGE_SIZE = 50
_PAGE = """query ($brin: BRIN!, $after: String) { registrations(brin: $brin, first: 50, after: $after)
{ nodes { applicationId status statusSince } pageInfo { endCursor } } }"""
_ONE = """query ($brin: BRIN!, $id: ID!)
{ registrationByApplicationId(brin: $brin, applicationId: $id) { applicationId status } }"""
_STATISTICS = """query ($brin: BRIN!)
{ multipleRegistrationStatistics(schoolYear: 2026, brin: $brin) { asOf } }"""

# A new row has what the row of the one registration that was reported has, and this instead. Each student has
# one registration with one event, of which one receiver has been told.
_GROWN: dict[str, dict[str, str]] = {
    "student": {"id": "{base} + n", "pseudonym": "sha256(n::text::bytea)"},
    "registration": {
        "id": "{base} + n",
        "public_id": "gen_random_uuid()",
        "application_id": "'G-' || n",
        "student_id": "{base} + n",
        "brin": "({brins})[1 + n % 60]",
    },
    "status_event": {"id": "{base} + n", "registration_id": "{base} + n", "student_id": "{base} + n"},
    "status_message": {"message_id": "gen_random_uuid()", "registration_id": "{base} + n"},
    "follow": {"id": "{base} + n", "student_id": "{base} + n", "reference": "'G-' || n"},
    "feed_entry": {
        "number": "{last} + n - $1",
        "event_id": "{base} + n",
        "follow_id": "{base} + n",
        "batch": "t.batch",
    },
}
_BASE = 1_000_000_000
_COLUMNS = """
select column_name from information_schema.columns
where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER' order by ordinal_position
"""


def table(folder: Path, sizes: Sequence[int]) -> str:
    """Return a table in Markdown: milliseconds of the hub and of PostgreSQL for a piece of work, by size."""
    stage = Stage.set_up(folder, _BRINS)
    try:
        with asyncio.Runner() as runner:
            runner.run(_prepare(stage))
            columns: list[dict[str, Spent]] = []
            for below, size in zip((1, *sizes), sizes, strict=False):
                began = time.monotonic()
                runner.run(_grow(stage, below, size))
                print(f"grown to {size:,} registrations in {time.monotonic() - began:.0f} s", flush=True)
                columns.append(dict(_work(stage, size, runner)))
    finally:
        stage.close()
    rows = [["work", *(f"{size:,} registrations" for size in sizes)], ["---"] * (len(sizes) + 1)]
    rows += [[work, *(str(spent[work]) for spent in columns)] for work in columns[0]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


async def _prepare(stage: Stage) -> None:
    """Report the one registration, which the other receiver follows, so that it has an entry."""
    stage.unconcerned.follow(stage.personal_number, "O-1")
    await asyncio.to_thread(stage.report)
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(stage.unconcerned.changes):  # noqa: ASYNC110 - it is asked for
            await asyncio.sleep(0.1)


async def _grow(stage: Stage, below: int, size: int) -> None:
    """Add what is missing to so many registrations, as a load does: one statement for each table."""
    connection = await asyncpg.connect(stage.database_url)
    try:
        other = await connection.fetchval("select organisation_id from follow where reference = 'O-1'")
        last = await connection.fetchval("select last_number from feed where organisation_id = $1", other)
        brins = "array[" + ",".join(f"'{brin}'" for brin in _BRINS) + "]"
        for name, changed in _GROWN.items():
            columns = [row[0] for row in await connection.fetch(_COLUMNS, name)]
            values = [
                changed.get(one, f"t.{one}").format(base=_BASE, brins=brins, last=last) for one in columns
            ]
            whose = "where t.organisation_id = $3" if name in {"follow", "feed_entry"} else ""
            statement = (
                f"insert into {name} ({', '.join(columns)}) overriding system value "  # noqa: S608 - names from here
                f"select {', '.join(values)} from (select * from {name} t {whose} limit 1) t "
                "cross join generate_series($1::bigint + 1, $2::bigint) n"
            )
            arguments = (below, size, other) if whose else (below, size)
            await connection.execute(statement, *arguments, timeout=3600)
        await connection.execute(
            "update feed set last_number = $2 where organisation_id = $1", other, last + size - below
        )
        await connection.execute("vacuum (analyze)", timeout=3600)
    finally:
        await connection.close()


def _work(stage: Stage, size: int, runner: asyncio.Runner) -> Iterator[tuple[str, Spent]]:
    chosen = random.Random(size)
    ended = stage.hub.run("statistics", "refresh", seconds=900)
    assert ended.returncode == 0, ended.stderr
    pages = [(brin, None) for brin in _BRINS]

    def one() -> None:
        number = chosen.randrange(2, size)
        variables = {"brin": _BRINS[number % 60], "id": f"G-{number}"}
        assert stage.sis.ask(_ONE, variables)["registrationByApplicationId"], variables

    def page() -> None:
        brin, after = pages.pop(0)
        answer = stage.sis.ask(_PAGE, {"brin": brin, "after": after})["registrations"]
        assert answer["nodes"]
        whole = len(answer["nodes"]) == _PAGE_SIZE
        pages.append((brin, answer["pageInfo"]["endCursor"] if whole else None))

    def figures() -> None:
        assert stage.institution.ask(_STATISTICS, {"brin": _BRINS[0]})["multipleRegistrationStatistics"]

    yield "a registration by its id (Q1)", _repeated(stage, one, 200)
    yield "a page of 50 (Q2)", _repeated(stage, page, 100)
    yield "a status message (M1)", _repeated(stage, stage.report, 200)
    yield f"a message and its delivery to {_CONNECTIONS} connections", runner.run(_deliveries(stage, 100))
    yield "to resume 100 numbers back", runner.run(_resumes(stage, 50))
    yield "statistics of an institution", _repeated(stage, figures, 100)


def _repeated(stage: Stage, work: Callable[[], None], times: int) -> Spent:
    for _ in range(10):
        work()
    meter = stage.meter()
    for _ in range(times):
        work()
    return meter.per(times)


async def _deliveries(stage: Stage, times: int) -> Spent:
    async with subscribers(stage.hub, stage.concerned, _CONNECTIONS) as crowd:
        meter = stage.meter()
        for count in range(1, times + 1):
            await asyncio.to_thread(stage.report)
            for subscriber in crowd:
                await subscriber.until(count)
        return meter.per(times)


async def _resumes(stage: Stage, times: int) -> Spent:
    meter = stage.meter()
    for _ in range(times):
        async with subscribers(stage.hub, stage.concerned, 1, after=stage.sent - 100) as (subscriber,):
            await subscriber.until(100)
    return meter.per(times)
