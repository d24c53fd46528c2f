"""Freezes the figures of a national year and says what that took: `python -m tests.benchmarks.national_year`.

    python -m tests.benchmarks.national_year [STUDENTS] [--history] [--count]

450,000 students by default. `--history` puts as many into the school year before, from whose outcomes
expected enrolments are told. `--count` compares every cell with a count in plain Python.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import asyncpg

from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer
from app.persistence.migrations import migrate
from tests.factories.brute_force import MEASURES, ROWS, cube
from tests.factories.school_year import Country, fill, institutions, put_institutions

_NATIONAL = 450_000
_YEAR = 2026
# Three of five students are followed, by one transfer system.
_FOLLOWED = """
with receiver as (
  insert into organisation (oin, role, name) values ('00000001000000000000', 'os', 'Receiver') returning id
), feed as (
  insert into feed (organisation_id, complete, last_number, expired_number, acknowledged_number)
  select id, false, 0, 0, 0 from receiver returning organisation_id
)
insert into follow (organisation_id, student_id, reference, since, until)
select organisation_id, student.id, student.id::text, now(), '2027-12-31'
from feed, student where student.id % 5 < 3
"""


async def _filled(url: str, students: int) -> None:
    database = Database(url)
    await database.open()
    async with database.connection() as connection:
        started = perf_counter()
        await connection.execute("set statement_timeout = 0")
        await put_institutions(connection)
        years = (_YEAR - 1, _YEAR) if "--history" in sys.argv else (_YEAR,)
        changes = 0
        for year in years:
            changes += await fill(connection, Country(year), students, year)
        await connection.execute(_FOLLOWED)
        await connection.execute("analyze follow")
        made = await connection.fetchval("select count(*) from registration")
        took = perf_counter() - started
        print(f"{students:,} students, {made:,} registrations, {changes:,} changes, written in {took:.0f} s")
    await database.close()


def _refreshed(url: str) -> None:
    started = perf_counter()
    subprocess.run(
        [str(Path(sys.executable).with_name("koppelpunt")), "statistics", "refresh"],
        env={**os.environ, "KOPPELPUNT_DATABASE_URL": url},
        check=True,
    )
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    took, cpu = perf_counter() - started, usage.ru_utime + usage.ru_stime
    print(f"snapshot in {took:.1f} s, {cpu:.1f} s of it the hub's; {usage.ru_maxrss / 1024:.0f} MiB at most")


async def _counted(url: str) -> None:
    connection = await asyncpg.connect(url)
    newest = await connection.fetchval("select max(snapshot_id) from statistics_cell")
    measures = ", ".join(MEASURES)
    rows = await connection.fetch(
        f"select school_year, dimension, brin, category, {measures} from statistics_cell"  # noqa: S608 - words
        " where snapshot_id = $1 and dimension <> 'COVERAGE'",
        newest,
    )
    frozen = {tuple(row)[:4]: dict(zip(MEASURES, tuple(row)[4:], strict=True)) for row in rows}
    counted = cube(map(dict, await connection.fetch(ROWS)), dict(institutions()))
    await connection.close()
    wrong = [key for key in frozen.keys() | counted.keys() if frozen.get(key) != counted.get(key)]
    print(f"{len(frozen):,} cells, {len(wrong)} of them other than counted in Python")
    if wrong:
        raise SystemExit(1)


def main() -> None:
    """Measure on a server of one's own that leaves nothing behind."""
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        try:
            migrate(server.url)
            asyncio.run(_filled(server.url, numbers[0] if numbers else _NATIONAL))
            _refreshed(server.url)
            if "--count" in sys.argv:
                asyncio.run(_counted(server.url))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
