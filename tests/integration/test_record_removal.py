"""Records that were kept for long enough leave both logs, and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from app.domain.record_export import RecordLog
from app.persistence.unit_of_work import reading
from app.services import record_removal
from app.services.record_removal import RecordRemovalService
from app.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.persistence.database import Database

NOW = datetime.now(UTC)
DAYS = {RecordLog.PROCESSING: 100, RecordLog.SECURITY: 200}
_PROCESSING = """
insert into processing_record (trace_id, span_id, activity, organisation_id, client_id, status, started_at,
                               ended_at, student_ids)
values ('a', 'b', 'report-statuses', 1, 'c', 'OK', $1, $1, '{1}') returning id
"""
_SECURITY = """
insert into security_record (at, event, outcome, count) values ($1, 'TOKEN_ISSUED', 'DONE', 1) returning id
"""
_STATEMENTS = {RecordLog.PROCESSING: _PROCESSING, RecordLog.SECURITY: _SECURITY}
_TABLES = {RecordLog.PROCESSING: "processing_record", RecordLog.SECURITY: "security_record"}


async def add(database: Database, log: RecordLog, days_ago: Sequence[float]) -> list[int]:
    """Add rows of that age, in this order; return their ids."""
    async with database.connection() as connection:
        return [await connection.fetchval(_STATEMENTS[log], NOW - timedelta(days=days)) for days in days_ago]


async def ids(database: Database, log: RecordLog) -> list[int]:
    """Return the ids that are left, without those of the removal itself."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select id from processing_record order by id"
            if log is RecordLog.PROCESSING
            else "select id from security_record where event = 'TOKEN_ISSUED' order by id"
        )
    return [row["id"] for row in rows]


async def on_record(database: Database) -> list[tuple[str, int]]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select subject, count from security_record where event = 'RECORDS_REMOVED' order by id"
        )
    return [(row["subject"], row["count"]) for row in rows]


def removing(database: Database, *, exported: bool = False) -> RecordRemovalService:
    return RecordRemovalService(database, lambda: NOW, DAYS, exported=exported)


class TestRemoval:
    @pytest.mark.parametrize("log", RecordLog)
    async def test_takes_what_is_older_than_its_period_and_no_more(
        self, database: Database, log: RecordLog
    ) -> None:
        kept = DAYS[log]
        rows = await add(database, log, [kept + 2, kept + 0.01, kept, kept - 0.01, 1])
        removed = await removing(database).remove()
        assert removed == {one: 2 if one is log else 0 for one in RecordLog}
        assert await ids(database, log) == rows[2:]
        assert await on_record(database) == [(log.value, 2)]
        assert await removing(database).remove() == dict.fromkeys(RecordLog, 0)
        assert await on_record(database) == [(log.value, 2)]

    async def test_goes_on_in_bites_until_nothing_is_left(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(record_removal, "_BITE", 3)
        rows = await add(database, RecordLog.PROCESSING, [300] * 10 + [1])
        assert (await removing(database).remove())[RecordLog.PROCESSING] == 10
        assert await ids(database, RecordLog.PROCESSING) == rows[-1:]
        assert await on_record(database) == [("processing", count) for count in (3, 3, 3, 1)]

    async def test_stops_at_the_first_that_is_young(self, database: Database) -> None:
        rows = await add(database, RecordLog.PROCESSING, [300, 1, 300])
        assert (await removing(database).remove())[RecordLog.PROCESSING] == 1
        assert await ids(database, RecordLog.PROCESSING) == rows[1:]

    @pytest.mark.parametrize("log", RecordLog)
    async def test_never_passes_what_has_been_exported(self, database: Database, log: RecordLog) -> None:
        rows = await add(database, log, [900, 899, 898, 897])
        assert (await removing(database, exported=True).remove())[log] == 0
        async with reading(database) as unit:
            await unit.record_exports.advance(log, rows[1], NOW)
        assert (await removing(database, exported=True).remove())[log] == 2
        assert await ids(database, log) == rows[2:]
        assert (await removing(database, exported=False).remove())[log] == 2, "nobody keeps them any more"

    async def test_leaves_no_trace_of_a_bite_that_fails(self, database: Database) -> None:
        young = await add(database, RecordLog.PROCESSING, [1])
        everything = RecordRemovalService(
            database, lambda: datetime.now(UTC) + timedelta(days=400), DAYS, exported=False
        )
        with pytest.raises(asyncpg.RaiseError, match="last 30 days"):
            await everything.remove()
        assert await ids(database, RecordLog.PROCESSING) == young
        assert await on_record(database) == []


class TestBothLogs:
    @pytest.mark.parametrize("log", RecordLog)
    @pytest.mark.parametrize("statement", ["delete from {}", "update {} set id = default", "truncate {}"])
    async def test_refuse_to_be_changed(self, database: Database, log: RecordLog, statement: str) -> None:
        async with database.connection() as connection:
            # By the clock of the database, which no test can turn.
            await connection.execute(_STATEMENTS[log], datetime.now(UTC) - timedelta(days=29))
            with pytest.raises(asyncpg.RaiseError):
                await connection.execute(statement.format(_TABLES[log]))
            assert await connection.fetchval(f"select count(*) from {_TABLES[log]}") == 1  # noqa: S608 - our own

    @pytest.mark.parametrize("name", ["processing_log_days", "security_log_days"])
    def test_are_kept_for_a_month_at_least(self, name: str) -> None:
        assert getattr(load_settings(), name) == 730
        with pytest.raises(SettingsError, match=name.upper()):
            load_settings(**{name: "29"})

    async def test_are_cleaned_up_by_the_running_hub(self, open_world) -> None:
        world = await open_world(background=False, processing_log_days=40)
        await add(world.hub.database, RecordLog.PROCESSING, [41])
        removed = await world.hub.housekeeping.now("record-removal")
        assert removed[RecordLog.PROCESSING] == 1
