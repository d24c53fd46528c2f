"""What happened to registrations, and which of it still waits for its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.codes import Status, StatusSource
from app.domain.registration import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import asyncpg

    from app.domain.registration import Change

# The ids are drawn in the order of the list, after the locks on the registrations are held: so the order
# of ids within a registration is the order in which its changes took effect.
_APPEND = """
with appended as (
  insert into status_event (registration_id, student_id, organisation_id, kind, status, previous_status,
                            learning_path, source, occurred_at, recorded_at)
  select registration_id, student_id, $1, kind, status, previous_status, learning_path, source,
         occurred_at, $2
  from unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
              $10::timestamptz[]) with ordinality
       as change (registration_id, student_id, kind, status, previous_status, learning_path, source,
                  occurred_at, position)
  order by position
  returning id, kind
)
insert into pending_event (event_id) select id from appended where kind <> 'OUTDATED'
"""
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


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to a registration; OUTDATED ones had no effect."""

    id: int
    kind: ChangeKind
    status: Status
    previous_status: Status | None
    source: StatusSource
    occurred_at: datetime
    recorded_at: datetime


class Events:
    """Status events in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def append(
        self, organisation_id: int, recorded_at: datetime, changes: Sequence[tuple[int, Change]]
    ) -> None:
        """Record changes as (registration, change), in order; all but OUTDATED ones become pending."""
        if not changes:
            return
        await self._connection.execute(
            _APPEND,
            organisation_id,
            recorded_at,
            [registration_id for registration_id, _ in changes],
            [change.student_id for _, change in changes],
            [change.kind for _, change in changes],
            [change.status for _, change in changes],
            [change.previous_status for _, change in changes],
            [change.learning_path for _, change in changes],
            [change.source for _, change in changes],
            [change.occurred_at for _, change in changes],
        )

    async def histories(
        self, registration_ids: Sequence[int], after: int, limit: int
    ) -> dict[int, list[HistoryEntry]]:
        """Return what happened to each of these registrations after an event id, oldest first."""
        rows = await self._connection.fetch(_HISTORIES, list(registration_ids), after, limit)
        found: dict[int, list[HistoryEntry]] = {registration_id: [] for registration_id in registration_ids}
        for row in rows:
            found[row["registration_id"]].append(
                HistoryEntry(
                    row["id"],
                    ChangeKind(row["kind"]),
                    Status(row["status"]),
                    None if row["previous_status"] is None else Status(row["previous_status"]),
                    StatusSource(row["source"]),
                    row["occurred_at"],
                    row["recorded_at"],
                )
            )
        return found
