"""Messages counted by day as they come in: each once, found by an index, whatever the log has grown to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.delivery import DELAY_BOUNDS, Counts

if TYPE_CHECKING:
    from datetime import date, datetime

    import asyncpg

_BEGIN = """
insert into delivery_progress (id, counted_until, refused_id) values (1, $1, 0) on conflict do nothing
"""
_PROGRESS = "select counted_until, refused_id from delivery_progress where id = 1 for update"
_ADVANCE = "update delivery_progress set counted_until = $1, refused_id = $2 where id = 1"

_DAY = "(received_at at time zone 'Europe/Amsterdam')::date"
_BUCKETS = ", ".join(f"count(*) filter (where bucket = {number})" for number in range(len(DELAY_BOUNDS) + 1))
# Institutions are few; of each the messages of this while are one range of its index.
_COUNT = f"""
with received as (
  select i.brin, m.organisation_id, m.received_at, m.findings,
         width_bucket(extract(epoch from m.received_at - m.occurred_at)::float8,
                      array[{", ".join(map(str, DELAY_BOUNDS))}]::float8[]) as bucket
  from institution i
  cross join lateral (
    select * from status_message s where s.brin = i.brin and s.received_at > $1 and s.received_at <= $2
  ) m
),
counted as (
  select brin, organisation_id, {_DAY} as day, count(*) as messages,
         count(*) filter (where 'UNUSUAL_STEP' = any(findings)) as unusual,
         count(*) filter (where 'LATE' = any(findings)) as late, array[{_BUCKETS}]::int[] as delays,
         max(received_at) as last_at
  from received group by 1, 2, 3
)
insert into delivery_day as d (brin, organisation_id, day, messages, unusual, late, delays, last_at)
select brin, organisation_id, day, messages, unusual, late, delays, last_at from counted
on conflict (brin, organisation_id, day) do update set
  messages = d.messages + excluded.messages, unusual = d.unusual + excluded.unusual,
  late = d.late + excluded.late, last_at = greatest(d.last_at, excluded.last_at),
  delays = (select array_agg(one + other order by place)
            from unnest(d.delays, excluded.delays) with ordinality as t (one, other, place))
"""
# Ids are drawn some time after `received_at` is: what may be followed by an earlier one waits.
_COUNT_REFUSED = f"""
with seen as (
  select * from refused_message
  where id > $1
    and id < coalesce(
      (select min(id) from refused_message where id > $1 and received_at > $2), 1::bigint << 62)
  order by id limit $3
),
counted as (
  select coalesce(i.brin, '') as brin, s.organisation_id, {_DAY} as day, s.code, count(*) as messages,
         max(s.received_at) as last_at
  from seen s left join institution i on i.brin = s.brin group by 1, 2, 3, 4
),
added as (
  insert into delivery_refusal as d (brin, organisation_id, day, code, messages, last_at)
  select brin, organisation_id, day, code, messages, last_at from counted
  on conflict (brin, organisation_id, day, code) do update set
    messages = d.messages + excluded.messages, last_at = greatest(d.last_at, excluded.last_at)
)
select max(id), count(*) from seen
"""
_DAYS = """
select brin, organisation_id, day, messages, unusual, late, delays, last_at from delivery_day where day >= $1
"""
_REFUSED_DAYS = """
select brin, organisation_id, day, sum(messages)::int as refused, max(last_at) as last_at
from delivery_refusal where day >= $1 and brin <> '' group by 1, 2, 3
"""
_LAST = """
select brin, organisation_id, max(last_at) as last_at, max(day) as day from (
  select brin, organisation_id, last_at, day from delivery_day
  union all select brin, organisation_id, last_at, day from delivery_refusal where brin <> ''
) every group by 1, 2
"""
_PRUNE = """
with counts as (delete from delivery_day where day < $1)
delete from delivery_refusal where day < $1
"""

SenderKey = tuple[str, int]  # the institution, and the organisation that sends for it


@dataclass(slots=True)
class Heard:
    """What was heard of a sender, by day, and when last."""

    days: dict[date, Counts]
    last_at: datetime


class DeliveryCounts:
    """Counts by day, in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def lock(self, first: datetime) -> tuple[datetime, int]:
        """Return how far messages are counted, and let nobody else count until this transaction ends."""
        await self._connection.execute(_BEGIN, first)
        row = await self._connection.fetchrow(_PROGRESS)
        return (first, 0) if row is None else (row["counted_until"], row["refused_id"])

    async def count(self, after: datetime, until: datetime) -> None:
        """Count the messages of this while that were accepted or outdated."""
        await self._connection.execute(_COUNT, after, until)

    async def count_refused(self, after: int, until: datetime, at_most: int) -> tuple[int, int]:
        """Count refused messages above an id; return the last id and how many there were."""
        row = await self._connection.fetchrow(_COUNT_REFUSED, after, until, at_most)
        return (after, 0) if row is None or row[0] is None else (row[0], row[1])

    async def advance(self, until: datetime, refused_id: int) -> None:
        """Remember how far messages are counted."""
        await self._connection.execute(_ADVANCE, until, refused_id)

    async def since(self, first: date) -> dict[SenderKey, Heard]:
        """Return what was heard of each sender since a day; of those not heard since, when they last were."""
        heard = {
            (row["brin"], row["organisation_id"]): Heard({row["day"]: Counts()}, row["last_at"])
            for row in await self._connection.fetch(_LAST)
        }
        parts: dict[SenderKey, dict[date, Counts]] = defaultdict(dict)
        for row in await self._connection.fetch(_DAYS, first):
            parts[row["brin"], row["organisation_id"]][row["day"]] = Counts(
                row["messages"], 0, row["unusual"], row["late"], tuple(row["delays"])
            )
        for row in await self._connection.fetch(_REFUSED_DAYS, first):
            days = parts[row["brin"], row["organisation_id"]]
            one = days.get(row["day"], Counts())
            days[row["day"]] = Counts(one.messages, row["refused"], one.unusual, one.late, one.delays)
        for key, days in parts.items():
            heard[key].days.update(days)
        return heard

    async def prune(self, before: date) -> None:
        """Forget days that nobody asks for any more."""
        await self._connection.execute(_PRUNE, before)
