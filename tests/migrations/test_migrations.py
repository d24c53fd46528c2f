"""Each migration up and down on a real database, and no drift between tables and migrations."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from app.persistence.database import Database
from app.persistence.migrations import alembic_config, at_head, migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "alembic"
REVISIONS = [
    script.revision
    for script in reversed(list(ScriptDirectory(str(SCRIPTS)).walk_revisions("base", "heads")))
]
# What the database holds, by name and definition: tables with columns, indexes, constraints, sequences.
SHAPE = """
    select 'column', table_name || '.' || column_name,
           concat_ws(' ', data_type, is_nullable, column_default, collation_name)
    from information_schema.columns where table_schema = 'public'
    union all
    select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
    union all
    select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'public'::regnamespace
    union all
    select 'sequence', sequencename, concat_ws(' ', increment_by, cache_size)
    from pg_sequences where schemaname = 'public'
    union all
    select 'type', typname, '' from pg_type
    where typnamespace = 'public'::regnamespace and typtype = 'e'
    union all
    select 'function', proname, '' from pg_proc where pronamespace = 'public'::regnamespace
    order by 1, 2, 3
"""

# Foreign keys to what removals remove, without an index that holds all their rows.
UNINDEXED = """
    select c.conrelid::regclass::text, pg_get_constraintdef(c.oid) from pg_constraint c
    where c.contype = 'f' and c.confrelid = any('{student, registration, status_event, follow}'::regclass[])
    and not exists (
        select 1 from pg_index i where i.indrelid = c.conrelid and i.indpred is null
        and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
    )
"""


@pytest.fixture
async def empty_url(postgresql: str) -> AsyncIterator[str]:
    """Make a database without anything in it."""
    name = f"empty_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgresql)
    try:
        await connection.execute(f"create database {name}")
        yield postgresql.replace("/koppelpunt?", f"/{name}?")
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


async def shape(url: str) -> list[tuple[str, ...]]:
    """Return all that a database holds, Alembic's own table apart."""
    connection = await asyncpg.connect(url)
    try:
        found = [tuple(map(str, row)) for row in await connection.fetch(SHAPE)]
    finally:
        await connection.close()
    return [one for one in found if "alembic_version" not in f"{one[1]} {one[2]}"]


class TestMigrations:
    def test_form_one_line(self) -> None:
        scripts = ScriptDirectory(str(SCRIPTS))
        assert len(scripts.get_heads()) == 1
        assert len(scripts.get_bases()) == 1

    def test_bear_their_date(self) -> None:
        for file in (SCRIPTS / "versions").glob("*.py"):
            date, _, slug = file.stem.partition("_")
            assert len(date) == 8, file.name
            assert date.isdigit(), file.name
            assert slug, file.name

    async def test_go_up_and_down_step_by_step(self, empty_url: str) -> None:
        shapes = [await shape(empty_url)]
        assert shapes == [[]]
        for revision in REVISIONS:
            await asyncio.to_thread(migrate, empty_url, revision)
            shapes.append(await shape(empty_url))
            assert shapes[-1] != shapes[-2], f"{revision} does nothing"
        for expected in reversed(shapes[:-1]):
            await asyncio.to_thread(command.downgrade, alembic_config(empty_url), "-1")
            assert await shape(empty_url) == expected
        for expected, revision in zip(shapes[1:], REVISIONS, strict=True):
            await asyncio.to_thread(migrate, empty_url, revision)
            assert await shape(empty_url) == expected, f"{revision} is another one the second time"

    async def test_leave_no_drift(self, empty_url: str) -> None:
        await asyncio.to_thread(migrate, empty_url)
        await asyncio.to_thread(command.check, alembic_config(empty_url))

    async def test_let_removals_find_what_refers_to_a_row(self, empty_url: str) -> None:
        await asyncio.to_thread(migrate, empty_url)
        connection = await asyncpg.connect(empty_url)
        try:
            assert await connection.fetch(UNINDEXED) == []
            await connection.execute("drop index follow_student_id_idx")
            (found,) = await connection.fetch(UNINDEXED)
            assert found[0] == "follow"
        finally:
            await connection.close()

    async def test_would_show_drift(self, empty_url: str) -> None:
        await asyncio.to_thread(migrate, empty_url)
        connection = await asyncpg.connect(empty_url)
        await connection.execute("alter table client add column drift text")
        await connection.close()
        with pytest.raises(Exception, match="New upgrade operations detected"):
            await asyncio.to_thread(command.check, alembic_config(empty_url))

    async def test_do_no_harm_the_second_time(self, empty_url: str) -> None:
        await asyncio.to_thread(migrate, empty_url)
        before = await shape(empty_url)
        connection = await asyncpg.connect(empty_url)
        try:
            await connection.execute("insert into institution (brin, name) values ('25LH', 'kept')")
            await asyncio.to_thread(migrate, empty_url)
            assert await connection.fetchval("select name from institution") == "kept"
        finally:
            await connection.close()
        assert await shape(empty_url) == before

    async def test_wait_for_each_other(self, empty_url: str) -> None:
        # Alembic keeps its context per process, as `koppelpunt` does: so each one is a process here too.
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(3) as pool:
            ended = await asyncio.gather(
                *(loop.run_in_executor(pool, _migrate_in_a_process, empty_url) for _ in range(3))
            )
        assert ended == [(0, "")] * 3
        database = Database(empty_url, pool_size=1)
        await database.open()
        try:
            assert await at_head(database)
        finally:
            await database.close()


def _migrate_in_a_process(url: str) -> tuple[int, str]:
    code = "import sys; from app.persistence.migrations import migrate; migrate(sys.argv[1])"
    ended = subprocess.run(
        [sys.executable, "-c", code, url], cwd=SCRIPTS.parent, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stderr
