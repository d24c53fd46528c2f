"""Both logs on their way out: in the order of their ids, up to where no row can come in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.record_export import KeptProcessing, KeptSecurityRecord, RecordLog

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

TABLES = {RecordLog.PROCESSING: "processing_record", RecordLog.SECURITY: "security_record"}
TIMES = {RecordLog.PROCESSING: "ended_at", RecordLog.SECURITY: "at"}

_POSITION = "select position from record_export where log = $1"
_ADVANCE = """
insert into record_export (log, position, exported_at) values ($1, $2, $3)
on conflict (log) do update set position = greatest(record_export.position, excluded.position),
                                exported_at = excluded.exported_at
"""
_LATEST = "select case when is_called then last_value else 0 end from {table}_id_seq"
# Whoever has drawn an id holds this lock until its end, since it took it before it drew.
_WRITERS = """
select virtualtransaction from pg_locks
where locktype = 'relation' and relation = '{table}'::regclass and mode = 'RowExclusiveLock'
  and database = (select oid from pg_database where datname = current_database())
"""
_SUBJECTS = """
coalesce((
  select array_agg(distinct e.student_id) from feed_entry f join status_event e on e.id = f.event_id
  where f.organisation_id = p.organisation_id and f.number between p.first_number and p.last_number
), '{}')
"""
_PROCESSINGS = f"""
select p.*, o.oin, case when p.first_number is null then p.student_ids else {_SUBJECTS} end as subjects
from processing_record p join organisation o on o.id = p.organisation_id
"""
_SECURITY = "select * from security_record p"
_PAGE = "where p.id > $1 and p.id <= $2 order by p.id limit $3"
_STRETCH = "where p.id > $1 and p.id <= $2 and p.{time} >= $3 and p.{time} < $4"
_ABOUT = """
and ($5 = any(p.student_ids) or exists (
  select 1 from feed_entry f join status_event e on e.id = f.event_id
  where f.organisation_id = p.organisation_id and f.number between p.first_number and p.last_number
    and e.student_id = $5
))
"""
_FROM = "select id, {time} as at from {table} where id >= $1 order by id limit 1"


class RecordExports:
    """Both logs, read by id."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def position(self, log: RecordLog) -> int:
        """Return the id up to which a log has been exported."""
        return int(await self._connection.fetchval(_POSITION, log) or 0)

    async def advance(self, log: RecordLog, position: int, at: datetime) -> None:
        """Note that a log has been exported up to an id; never goes back."""
        await self._connection.execute(_ADVANCE, log, position, at)

    async def latest_id(self, log: RecordLog) -> int:
        """Return the last id that was drawn, committed or not."""
        return int(await self._connection.fetchval(_LATEST.format(table=TABLES[log])))

    async def writers(self, log: RecordLog) -> frozenset[str]:
        """Return the transactions that may have drawn an id and are not at their end."""
        rows = await self._connection.fetch(_WRITERS.format(table=TABLES[log]))
        return frozenset(row["virtualtransaction"] for row in rows)

    async def processings(self, after: int, up_to: int, size: int) -> list[KeptProcessing]:
        """Return the next processings by id."""
        return [
            _processing(r) for r in await self._connection.fetch(_PROCESSINGS + _PAGE, after, up_to, size)
        ]

    async def security(self, after: int, up_to: int, size: int) -> list[KeptSecurityRecord]:
        """Return the next events of security by id."""
        return [
            _security(r) for r in await self._connection.fetch(f"{_SECURITY} {_PAGE}", after, up_to, size)
        ]

    async def processings_between(
        self, after: int, up_to: int, since: datetime, until: datetime, student_id: int | None
    ) -> list[KeptProcessing]:
        """Return the processings of a stretch of ids that ended in a time, about one student or all."""
        statement = _PROCESSINGS + _STRETCH.format(time="ended_at")
        values: list[object] = [after, up_to, since, until]
        if student_id is not None:
            statement, values = statement + _ABOUT, [*values, student_id]
        return [_processing(r) for r in await self._connection.fetch(f"{statement} order by p.id", *values)]

    async def security_between(
        self, after: int, up_to: int, since: datetime, until: datetime
    ) -> list[KeptSecurityRecord]:
        """Return the events of a stretch of ids and a time."""
        statement = f"{_SECURITY} {_STRETCH.format(time='at')} order by p.id"
        return [_security(r) for r in await self._connection.fetch(statement, after, up_to, since, until)]

    async def first_from(self, log: RecordLog, id_: int) -> tuple[int, datetime] | None:
        """Return id and time of the first row from an id on, or None."""
        row = await self._connection.fetchrow(_FROM.format(table=TABLES[log], time=TIMES[log]), id_)
        return None if row is None else (row["id"], row["at"])


def _processing(row: asyncpg.Record) -> KeptProcessing:
    first = row["first_number"]
    return KeptProcessing(
        row["id"],
        row["trace_id"],
        row["span_id"],
        row["activity"],
        row["oin"],
        row["client_id"],
        row["status"],
        row["started_at"],
        row["ended_at"],
        None if first is None else (first, row["last_number"]),
        tuple(sorted(row["subjects"])),
    )


def _security(row: asyncpg.Record) -> KeptSecurityRecord:
    return KeptSecurityRecord(
        row["id"],
        row["at"],
        row["event"],
        row["outcome"],
        row["actor"],
        row["on_behalf_of"],
        row["subject"],
        row["detail"],
        row["count"],
    )
