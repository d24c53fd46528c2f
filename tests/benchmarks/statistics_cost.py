"""How much a query of statistics looks at, by how many registrations there are.

    python -m tests.benchmarks.statistics_cost [REGISTRATIONS...]

Counted are blocks (8 KiB) of tables and their indexes, from PostgreSQL's cache or not; no clock is read.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.access import SCOPES_OF_ROLE, Principal, Role
from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer
from app.persistence.migrations import migrate
from app.services.annual_overview import AnnualOverviewService
from app.services.deliveries import DeliveryService
from app.services.statistics import StatisticsService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    import asyncpg

_NOW = datetime(2025, 10, 1, 12, tzinfo=UTC)
_YEAR = 2025
_BRINS = tuple(f"{number:02d}AA" for number in range(1, 41))
_INSTITUTIONS = """
insert into institution (brin, name, region)
select brin, brin, lpad(((n - 1) % 10 + 1)::text, 2, '0')
from unnest($1::text[]) with ordinality as i (brin, n) on conflict do nothing
"""
_SENDER = """
with vendor as (
  insert into organisation (id, oin, role, name) overriding system value
  values (1, '00000099000000000001', 'sis', 'a SIS vendor') on conflict do nothing returning id
)
insert into mandate (organisation_id, brin, kind, valid_from)
select id, brin, 'STATUSES', '2025-01-01' from vendor, unnest($1::text[]) brin
"""
_STUDENTS = """
insert into student (id, pseudonym, key_version) overriding system value
select n, sha256(n::text::bytea), 1 from generate_series($1::bigint + 1, $2) n where n % 3 > 0
"""
# Of three registrations two are of one student. Each institution has 20 programmes, from 800 rows on.
_REGISTRATIONS = """
insert into registration (id, public_id, application_id, student_id, brin, programme_code, learning_path,
                          school_year, programme_year, status, status_since, status_source, effective_at,
                          created_at, last_confirmed_at, region, reported_by)
overriding system value
select n, gen_random_uuid(), 'A-' || n, case n % 3 when 0 then n - 1 else n end,
       ($3::text[])[1 + (n + n / 800) % 40], (25000 + n / 40 % 20)::text, 'BOL', 2025, 1,
       (array['RECEIVED', 'OFFERED', 'ENROLLED', 'WITHDRAWN'])[1 + n / 3 % 4], $4, 'SIS', $4, $4, $4, null,
       '{1}'
from generate_series($1::bigint + 1, $2) n
"""
_BLOCKS = """
select relname, heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)
       + coalesce(toast_blks_read + toast_blks_hit + tidx_blks_read + tidx_blks_hit, 0)
from pg_statio_user_tables
"""


@dataclass(frozen=True)
class Looked:
    """The blocks that one query looked at, by table."""

    blocks: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.blocks.values())

    @property
    def tables(self) -> set[str]:
        return {table for table, count in self.blocks.items() if count}


async def looked_at(database: Database, sizes: Iterable[int]) -> list[dict[str, Looked]]:
    """Grow to each size in turn, freeze the figures, and return what each query looks at.

    The database has one connection, and nobody else is at work in it.
    """
    found = []
    below = 0
    for size in sizes:
        async with database.connection() as connection:
            await _grow(connection, below, size)
        below = size
        await StatisticsService(database, lambda: _NOW, threshold=5).refresh()
        await DeliveryService(database, lambda: _NOW).refresh()
        found.append({name: await _looked(database, ask) for name, ask in _queries(database).items()})
    return found


async def _grow(connection: asyncpg.Connection[asyncpg.Record], below: int, size: int) -> None:
    await connection.execute("set statement_timeout = 0")
    await connection.execute(_INSTITUTIONS, _BRINS)
    await connection.execute(_SENDER, _BRINS)
    await connection.execute(_STUDENTS, below, size, timeout=3600)
    await connection.execute(_REGISTRATIONS, below, size, _BRINS, _NOW, timeout=3600)
    await connection.execute("delete from annual_overview_table")  # the refresh makes one of this size
    await connection.execute("vacuum (analyze)", timeout=3600)


def _queries(database: Database) -> dict[str, Callable[[], Awaitable[object]]]:
    statistics = StatisticsService(database, lambda: _NOW, threshold=5)
    overviews = AnnualOverviewService(database, lambda: _NOW, threshold=5)
    deliveries = DeliveryService(database, lambda: _NOW)
    own, region, operator = (_caller(role) for role in (Role.INSTITUTION, Role.REGION, Role.OPERATOR))
    brin = _BRINS[0]
    return {
        "multipleRegistrationStatistics": lambda: statistics.multiple_registrations(own, brin, _YEAR),
        "multipleRegistrationStatistics, national": lambda: statistics.multiple_registrations(
            operator, None, _YEAR
        ),
        "registrationStatistics": lambda: statistics.registrations(own, brin, _YEAR),
        "registrationStatistics, national": lambda: statistics.registrations(operator, None, _YEAR),
        "coverage": lambda: statistics.coverage(region, "01", _YEAR),
        "annualOverview": lambda: overviews.overview(operator, _YEAR),
        "deliveryQuality": lambda: deliveries.quality(operator, brin),
    }


async def _looked(database: Database, ask: Callable[[], Awaitable[object]]) -> Looked:
    assert await ask() is not None
    before = await _blocks(database)
    await ask()
    after = await _blocks(database)
    return Looked({table: count - before.get(table, 0) for table, count in after.items()})


async def _blocks(database: Database) -> dict[str, int]:
    async with database.connection() as connection:
        await connection.execute("select pg_stat_force_next_flush()")
        await connection.execute("select pg_stat_clear_snapshot()")
        return {row[0]: row[1] for row in await connection.fetch(_BLOCKS)}


def _caller(role: Role) -> Principal:
    scopes = SCOPES_OF_ROLE[role]
    return Principal("c", 1, "00000099000000000001", "one", role, scopes, frozenset(_BRINS[:1]), "01")


async def _measured(url: str, sizes: list[int]) -> list[dict[str, Looked]]:
    database = Database(url, pool_size=1)
    await database.open()
    try:
        return await looked_at(database, sizes)
    finally:
        await database.close()


def main() -> None:
    """Measure on a server of one's own that leaves nothing behind."""
    sizes = [int(argument) for argument in sys.argv[1:]] or [10_000, 1_000_000]
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder), durable=False) as server:
        migrate(server.url)
        found = asyncio.run(_measured(server.url, sizes))
    print("| blocks looked at |", " | ".join(f"{size:,} registrations" for size in sizes), "|")
    print("|---" * (len(sizes) + 1) + "|")
    for name in found[0]:
        print(f"| {name} |", " | ".join(str(one[name].total) for one in found), "|")


if __name__ == "__main__":
    main()
