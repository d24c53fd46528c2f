"""What happened to registrations, and which of it still waits for its numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from app.domain.codes import Status, StatusSource
from app.domain.seen import HistoryEntry
from app.domain.value import value
from app.persistence.packing import pack, pack_each, pack_moments, pack_nullable, unpack
from app.persistence.parts import Part
from app.persistence.unread import without

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    import asyncpg

    from app.domain.registration import Change

# The ids are drawn in the order of the list, after the locks on the registrations are held: so the order
# of ids within a registration is the order in which its changes took effect.
_APPENDING = f"""
appended as (
  insert into status_event (registration_id, student_id, organisation_id, kind, status, previous_status,
                            learning_path, source, occurred_at, recorded_at)
  select registration_id, student_id, organisation_id, kind, status, previous_status, learning_path, source,
         occurred_at, $2
  from unnest({unpack(1, "bigint")}, {unpack(3, "bigint")}, {unpack(4, "bigint")}, {unpack(5)}, {unpack(6)},
              {unpack(7)}, {unpack(8)}, {unpack(9)}, {unpack(10, "timestamptz")}) with ordinality
       as change (organisation_id, registration_id, student_id, kind, status, previous_status,
                  learning_path, source, occurred_at, position)
  {{others_first}}
  order by position
  returning id, kind, student_id, learning_path
),
pending as (
  insert into pending_event (event_id, student_id, vavo)
  select id, student_id, learning_path = 'VAVO' from appended where kind <> 'OUTDATED'
)
"""
# Which part of a statement runs first is PostgreSQL's choice, unless one asks for what the other returns.
_AFTER_STEPS = _APPENDING.format(others_first="cross join (select count(*) from step_events) as steps")
_APPEND = _APPENDING.format(others_first="")
_HISTORIES = """
select wanted.registration_id, e.id, e.kind, e.status, e.previous_status, e.source, e.occurred_at,
       e.recorded_at
from unnest($1::bigint[]) as wanted (registration_id)
cross join lateral (
  select * from status_event s
  where s.registration_id = wanted.registration_id and s.id > $2
  order by s.id limit $3
) e
order by wanted.registration_id, e.id
"""
_THEN = """
select wanted.registration_id, e.status, e.occurred_at, e.source
from unnest($1::bigint[]) as wanted (registration_id)
cross join lateral (
  select * from status_event s
  where s.registration_id = wanted.registration_id and s.kind <> 'OUTDATED' and s.occurred_at < $2
  order by s.id desc limit 1
) e
"""


@value
class RecordedChange:
    """A change of a registration, and the organisation whose message made it."""

    organisation_id: int
    registration_id: int
    change: Change


def appending(recorded_at: datetime, changes: Sequence[RecordedChange], *, after_steps: bool) -> Part:
    """Return what records changes in order, after the steps of the same statement if there are any.

    All but OUTDATED ones become pending.
    """
    happened = [one.change for one in changes]
    return Part(
        _AFTER_STEPS if after_steps else _APPEND,
        (
            pack_each(one.organisation_id for one in changes),
            recorded_at,
            pack_each(one.registration_id for one in changes),
            pack_each(change.student_id for change in happened),
            pack(change.kind for change in happened),
            pack(change.status for change in happened),
            pack_nullable(change.previous_status for change in happened),
            pack(change.learning_path for change in happened),
            pack(change.source for change in happened),
            pack_moments(change.occurred_at for change in happened),
        ),
    )


class Events:
    """Status events in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def standing(
        self, registration_ids: Collection[int], before: datetime
    ) -> dict[int, tuple[Status, datetime, StatusSource]]:
        """Return the status of each of these registrations that had one then, since when, and its source."""
        rows = await self._connection.fetch(_THEN, list(registration_ids), before)
        return {
            row["registration_id"]: (Status(row["status"]), row["occurred_at"], StatusSource(row["source"]))
            for row in rows
        }

    async def histories(
        self,
        registration_ids: Sequence[int],
        after: int,
        limit: int,
        unread: frozenset[str] = frozenset(),
    ) -> dict[int, list[HistoryEntry]]:
        """Return what happened to each of these registrations after an event id, oldest first.

        The times that are named in `unread` are None in all entries.
        """
        statement = without(_HISTORIES, unread)
        rows = await self._connection.fetch(statement, list(registration_ids), after, limit)
        found: dict[int, list[HistoryEntry]] = {registration_id: [] for registration_id in registration_ids}
        make = partial(tuple.__new__, HistoryEntry)  # what its `_make` does, without a call of Python
        for row in rows:
            found[row[0]].append(make(row))
        return found
