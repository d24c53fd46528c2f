"""Feeds: their positions, their entries as a receiver may see them, and the numbering of what is pending.

How and why: `ARCHITECTURE.md`, "The way of a change".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.codes import Status, StatusSource
from app.domain.feed import FeedPosition, StatusChange
from app.domain.registration import ChangeKind
from app.persistence.registrations import COLUMN_COUNT, COLUMNS, registration_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date, datetime

    import asyncpg

_POSITION = """
select last_number, expired_number, last_at, acknowledged_number, acknowledged_at
from feed where organisation_id = $1
"""
_ENSURE = """
insert into feed (organisation_id, complete, last_number, expired_number, acknowledged_number)
values ($1, $2, 0, 0, 0) on conflict (organisation_id) do nothing
"""
# On the organisation, not on its feed: numbering must never wait for a follow.
_LOCK = "select 1 from organisation where id = $1 for no key update"
_ACKNOWLEDGE = """
update feed set acknowledged_number = greatest(acknowledged_number, $2),
                acknowledged_at = case when $2 > acknowledged_number then $3 else acknowledged_at end
where organisation_id = $1
returning acknowledged_number
"""

# Of one feed, in the order of its numbers up to the first that is young enough: after a clock went back an
# old entry may stand behind a young one. So what is left has no hole, and the mark says where it begins.
_EXPIRE = """
with due as (
  select f.organisation_id, f.expired_number as low, f.expired_number + 1000 as high from feed f
  where exists (select 1 from feed_entry o where o.organisation_id = f.organisation_id
                and o.number = f.expired_number + 1 and o.numbered_at < $1)
  limit 1
),
bite as (
  select d.organisation_id,
         coalesce((select min(k.number) - 1 from feed_entry k where k.organisation_id = d.organisation_id
                   and k.number > d.low and k.number <= d.high and k.numbered_at >= $1), d.high) as high
  from due d
),
gone as (delete from feed_entry e using bite b
         where e.organisation_id = b.organisation_id and e.number <= b.high
         returning e.organisation_id, e.number),
moved as (
  update feed set expired_number = g.number
  from (select organisation_id, max(number) as number from gone group by organisation_id) g
  where feed.organisation_id = g.organisation_id
)
select count(*) from gone
"""

# Entries are found in the order of an index, and what each is about by key, one after the other: `offset 0`
# has it so, and what is `asked` keeps numbers and limit from the planner, so that the plan stays.
_ENTRY = f"""
select {COLUMNS},
       e.organisation_id, e.number, e.batch, e.numbered_at, s.kind, s.status, s.previous_status, s.source,
       s.occurred_at, s.recorded_at, f.reference, e.follow_id is null as complete,
       r.student_id is not distinct from s.student_id as same_student,
       s.id is not null and (
         e.follow_id is null
         or (f.ended_at is null and f.until >= asked.today
             and (asked.vavo or (s.learning_path <> 'VAVO' and r.learning_path <> 'VAVO')))
       ) as visible
from {{entries}}
left join lateral (select * from status_event where id = e.event_id offset 0) s on true
left join lateral (select * from registration where id = s.registration_id offset 0) r on true
left join lateral (select * from follow where id = e.follow_id offset 0) f on true
order by {{order}}
"""
_PAGE = _ENTRY.format(
    entries="""
(select $1::date as today, $2::boolean as vavo, $3::bigint as organisation_id, $4::bigint as number,
        $5::bigint as size offset 0) asked
cross join lateral (
  select * from feed_entry
  where organisation_id = asked.organisation_id and number > asked.number
  order by number limit asked.size
) e""",
    order="e.number",
)
_AFTER = _ENTRY.format(
    entries="""
(select $1::date as today, $2::boolean as vavo, $3::bigint as batch, $4::bigint as organisation_id,
        $5::bigint as number, $6::bigint[] as receivers, $7::bigint as size offset 0) asked
cross join lateral (
  select * from feed_entry
  where batch >= asked.batch
    and (batch, organisation_id, number) > (asked.batch, asked.organisation_id, asked.number)
    and organisation_id = any(asked.receivers)
  order by batch, organisation_id, number limit asked.size
) e""",
    order="e.batch, e.organisation_id, e.number",
)
_LAST_NUMBERS = "select organisation_id, last_number from feed where organisation_id = any($1::bigint[])"
_LAST_BATCH = "select coalesce(max(batch), 0) from feed_entry"

# One statement numbers a batch for all receivers, in the order of the event ids. The planner cannot know how
# full the queue is, so nothing is left to its guess: the head of the queue is one range of its key, and
# `offset 0` has the follows looked up by student, one event after the other, however many follows there are.
_NUMBER = """
with taken as (
  delete from pending_event
  where event_id > $1 and event_id <= (
    select max(event_id)
    from (select event_id from pending_event where event_id > $1 order by event_id limit $2) head)
  returning event_id, student_id, vavo
),
batch as materialized (select nextval('feed_batch_seq') as batch where exists (select 1 from taken)),
entries as materialized (
  select wanted.organisation_id, wanted.event_id, wanted.follow_id,
         row_number() over (partition by wanted.organisation_id order by wanted.event_id) as step
  from (
    select f.organisation_id, t.event_id, f.id as follow_id
    from taken t
    cross join lateral (
      select t.student_id, t.vavo where t.student_id is not null
      union all
      select s.student_id, s.learning_path = 'VAVO' from status_event s
      where t.student_id is null and s.id = t.event_id and s.kind <> 'REMOVAL_ANNOUNCED'
    ) about
    cross join lateral (
      select id, organisation_id from follow
      where student_id = about.student_id and ended_at is null and until >= $3
      offset 0
    ) f
    where $4 or not about.vavo
    union all
    select fd.organisation_id, t.event_id, null
    from taken t cross join feed fd where fd.complete
  ) wanted
),
moved as (
  update feed set last_number = last_number + c.steps, last_at = $5
  from (select organisation_id, max(step) as steps from entries group by organisation_id) c
  where feed.organisation_id = c.organisation_id
  returning feed.organisation_id, feed.last_number - c.steps as base
),
added as (
  insert into feed_entry (organisation_id, number, batch, event_id, follow_id, numbered_at)
  select e.organisation_id, m.base + e.step, b.batch, e.event_id, e.follow_id, $5
  from entries e join moved m using (organisation_id) cross join batch b
  returning 1
)
select (select count(*) from taken) as events, (select count(*) from added) as entries
"""
# A sequence that was never drawn from says 1, which is the id of the first event to come.
_HORIZON = "select case when is_called then last_value else 0 end from status_event_id_seq"
# A snapshot's xmax would not do: it is one past the last that ended, and says nothing of later writers.
_NEW_TRANSACTION = "select pg_current_xact_id()::text::bigint"
_XMIN = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_ANY_BETWEEN = "select exists (select 1 from pending_event where event_id > $1 and event_id <= $2)"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A change on its way to one receiver."""

    organisation_id: int
    change: StatusChange


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Up to where the entries of all receivers have been read, in the order of their batches."""

    batch: int
    organisation_id: int
    number: int

    @classmethod
    def behind(cls, batch: int) -> Place:
        """Return the place behind everything in a batch and those before it."""
        return cls(batch + 1, 0, 0)


@dataclass(frozen=True, slots=True)
class Numbered:
    """What one round of numbering did."""

    events: int
    entries: int


class Feeds:
    """Feeds in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def ensure(self, organisation_id: int, *, complete: bool) -> None:
        """Make the feed of an organisation unless it has one."""
        await self._connection.execute(_ENSURE, organisation_id, complete)

    async def lock(self, organisation_id: int) -> None:
        """Queue up with everybody else who changes the follows of this organisation."""
        await self._connection.execute(_LOCK, organisation_id)

    async def position(self, organisation_id: int) -> FeedPosition | None:
        """Return where a feed stands, or None when the organisation has none."""
        row = await self._connection.fetchrow(_POSITION, organisation_id)
        if row is None:
            return None
        return FeedPosition(
            row["last_number"],
            row["expired_number"] + 1,
            row["last_at"],
            row["acknowledged_number"],
            row["acknowledged_at"],
        )

    async def acknowledge(self, organisation_id: int, number: int, now: datetime) -> int:
        """Record that a receiver has everything up to a number; it never goes back. Return what stands.

        Without a feed there is nothing to acknowledge, and 0 stands.
        """
        return int(await self._connection.fetchval(_ACKNOWLEDGE, organisation_id, number, now) or 0)

    async def page(
        self, organisation_id: int, after: int, size: int, today: date, *, vavo: bool
    ) -> list[StatusChange]:
        """Return up to `size` changes after a number, with the rights of this moment."""
        rows = await self._connection.fetch(_PAGE, today, vavo, organisation_id, after, size)
        return [_change_of(row) for row in rows]

    async def after(
        self, place: Place, receivers: Collection[int], size: int, today: date, *, vavo: bool
    ) -> tuple[list[Delivery], Place]:
        """Return up to `size` entries of these receivers behind a place, and the place where they end.

        Oldest batch first; fewer than `size` are all that there are.
        """
        rows = await self._connection.fetch(
            _AFTER, today, vavo, place.batch, place.organisation_id, place.number, list(receivers), size
        )
        deliveries = [Delivery(row[COLUMN_COUNT], _change_of(row)) for row in rows]
        if not rows:
            return deliveries, place
        organisation_id, number, batch = rows[-1][COLUMN_COUNT : COLUMN_COUNT + 3]
        whole = len(rows) < size
        return deliveries, Place.behind(batch) if whole else Place(batch, organisation_id, number)

    async def last_numbers(self, receivers: Collection[int]) -> dict[int, int]:
        """Return the last number of each of these receivers that has a feed."""
        rows = await self._connection.fetch(_LAST_NUMBERS, list(receivers))
        return {row["organisation_id"]: row["last_number"] for row in rows}

    async def expire(self, before: datetime) -> int:
        """Remove a bite of the entries of one feed that are older; return how many."""
        return int(await self._connection.fetchval(_EXPIRE, before) or 0)

    async def last_batch(self) -> int:
        """Return the number of the newest batch of entries, 0 when there is none."""
        return int(await self._connection.fetchval(_LAST_BATCH))


def _change_of(row: asyncpg.Record) -> StatusChange:
    (
        organisation_id,
        number,
        _batch,
        numbered_at,
        kind_name,
        status,
        previous_status,
        source,
        occurred_at,
        recorded_at,
        reference,
        complete,
        same_student,
        visible,
    ) = row[COLUMN_COUNT:]
    at = recorded_at or numbered_at
    if not visible:
        return StatusChange(number, ChangeKind.HIDDEN, at)
    kind = ChangeKind(kind_name)
    if not (same_student or complete or kind is ChangeKind.ANNULLED):
        # The registration turned out to be somebody else's: what was said of it is not this student's.
        return StatusChange(number, ChangeKind.HIDDEN, at)
    registration = registration_of(row, reference)
    shown = (same_student or complete) and registration.annulled_by in {None, organisation_id}
    return StatusChange(
        number,
        kind,
        at,
        reference,
        registration.application_id,
        registration if shown else None,
        Status(status),
        None if previous_status is None else Status(previous_status),
        StatusSource(source),
        occurred_at,
    )


class PendingEvents:
    """Numbering, on the dispatcher's own connection inside its own transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def number(self, low: int, size: int, today: date, now: datetime, *, vavo: bool) -> Numbered:
        """Give numbers to up to `size` pending events above `low`, for all receivers at once."""
        row = await self._connection.fetchrow(_NUMBER, low, size, today, vavo, now)
        return Numbered(0, 0) if row is None else Numbered(row["events"], row["entries"])

    async def newest_event(self) -> int:
        """Return the newest id that was drawn; who drew it had the number of its transaction before."""
        return int(await self._connection.fetchval(_HORIZON))

    async def new_transaction(self) -> int:
        """Return the number of a transaction that is over; all that began to write before have lower ones."""
        return int(await self._connection.fetchval(_NEW_TRANSACTION))

    async def oldest_writer(self) -> int:
        """Return the oldest transaction that still writes."""
        return int(await self._connection.fetchval(_XMIN))

    async def any_between(self, low: int, high: int) -> bool:
        """Tell whether an event with an id in (low, high] waits for its number."""
        return bool(await self._connection.fetchval(_ANY_BETWEEN, low, high))
