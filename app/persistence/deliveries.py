"""The deliveries as frozen, and what they are frozen from: mandates and groups of registrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.access import Role
from app.domain.client import Organisation
from app.domain.completeness import GroupPart
from app.domain.delivery import (
    Completeness,
    Counts,
    DeliveryFinding,
    DeliveryQuality,
    Rhythm,
    SenderDelivery,
    SenderState,
)
from app.domain.status_message import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime

    import asyncpg

    from app.domain.completeness import National
    from app.persistence.delivery_counts import SenderKey

_MANDATES = """
select m.brin, m.organisation_id, min(m.valid_from) as since from mandate m
join institution i using (brin)
where m.valid_from <= $1 and (m.valid_to is null or m.valid_to >= $1) group by 1, 2
"""
_ORGANISATIONS = "select id, oin, role, name, region from organisation where role in ('sis', 'cambo')"
_BRINS = 'select brin from institution order by brin collate "C"'
_GROUPS = """
select r.brin, r.school_year, coalesce(p.level, 0) as level,
       date_trunc('week', r.created_at at time zone 'Europe/Amsterdam')::date as week, r.reported_by,
       count(*) as registrations, count(*) filter (where r.status = 'RECEIVED') as waiting,
       count(*) filter (where r.status = 'RECEIVED' and r.last_confirmed_at < $3) as unheard,
       count(*) filter (where r.status in ('RECEIVED', 'OFFERED', 'ENROLLED') and r.created_at < $4)
         as unconfirmed
from registration r left join programme p on p.code = r.programme_code
where r.brin = $1 and r.school_year >= $2 and r.annulled_by is null
group by 1, 2, 3, 4, 5
"""
_CLEAR_SENDERS = "delete from sender_delivery"
_ADD_SENDER = """
insert into sender_delivery (brin, organisation_id, as_of, state, last_message_at, usual_gap, long_gap,
                             days_without, silent_after, messages, refused, unusual, late, delays,
                             registrations, stuck, findings)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""
_CLEAR_COMPLETENESS = "delete from completeness"
_ADD_COMPLETENESS = """
insert into completeness (brin, as_of, registrations, from_cambo, unconfirmed, compared, stuck, elsewhere,
                          findings, senders, sender_registrations, sender_compared, sender_stuck)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
_COMPLETENESS = "select * from completeness"
_STATES = "select brin, organisation_id, state from sender_delivery"
_FROZEN = "select max(as_of) from sender_delivery"
_PAGE = """
select i.brin from institution i where i.brin > $1 collate "C"
  and (not $3 or exists (select 1 from sender_delivery s where s.brin = i.brin and s.findings <> '{}')
       or exists (select 1 from completeness c where c.brin = i.brin and c.findings <> '{}'))
order by i.brin collate "C" limit $2
"""
_OF = """
select s.*, o.oin, o.role, o.name, o.region from sender_delivery s
join organisation o on o.id = s.organisation_id where s.brin = any($1::text[])
order by s.brin, s.organisation_id
"""
_COMPLETENESS_OF = "select * from completeness where brin = any($1::text[])"
_REFUSALS = """
select brin, organisation_id, code, sum(messages)::int as messages from delivery_refusal
where brin = any($1::text[]) and day >= $2 group by 1, 2, 3 order by 1, 2, 4 desc, 3
"""
_TOTALS = """
select 'state' as kind, state as name, count(*) as count from sender_delivery group by 2
union all
select 'finding', finding, count(*) from (
  select unnest(findings) as finding from sender_delivery
  union all select unnest(findings) from completeness
) every group by 2
"""


class Deliveries:
    """Who delivers, in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def mandates(self, today: date) -> dict[SenderKey, date]:
        """Return who may report for which institution today, and since when."""
        rows = await self._connection.fetch(_MANDATES, today)
        return {(row["brin"], row["organisation_id"]): row["since"] for row in rows}

    async def senders(self) -> dict[int, Organisation]:
        """Return every organisation that may send."""
        rows = await self._connection.fetch(_ORGANISATIONS)
        return {row["id"]: _organisation(row["id"], row) for row in rows}

    async def institutions(self) -> list[str]:
        """Return the institutions of the catalogue."""
        return [row["brin"] for row in await self._connection.fetch(_BRINS)]

    async def groups(
        self, brin: str, school_year: int, unheard_before: datetime, unconfirmed_before: datetime
    ) -> list[GroupPart]:
        """Count the registrations of an institution from a school year on, by group and reporters."""
        rows = await self._connection.fetch(_GROUPS, brin, school_year, unheard_before, unconfirmed_before)
        return [
            GroupPart(row[0], row[1], row[2], row[3], tuple(row[4]), row[5], row[6], row[7], row[8])
            for row in rows
        ]

    async def freeze_senders(self, as_of: datetime, senders: Sequence[SenderDelivery]) -> None:
        """Put these in the place of what was frozen before."""
        await self._connection.execute(_CLEAR_SENDERS)
        await self._connection.executemany(
            _ADD_SENDER,
            [
                (
                    one.brin,
                    one.organisation.number,
                    as_of,
                    one.rhythm.state,
                    one.last_message_at,
                    one.rhythm.usual_gap,
                    one.rhythm.long_gap,
                    one.rhythm.days_without,
                    one.rhythm.silent_after,
                    one.counts.messages,
                    one.counts.refused,
                    one.counts.unusual,
                    one.counts.late,
                    list(one.counts.delays),
                    one.registrations,
                    one.stuck,
                    list(one.findings),
                )
                for one in senders
            ],
        )

    async def freeze_completeness(self, as_of: datetime, national: National) -> None:
        """Put these in the place of what was frozen before."""
        await self._connection.execute(_CLEAR_COMPLETENESS)
        rows = []
        for brin, one in national.institutions.items():
            of_it = {sender: tally for (where, sender), tally in national.senders.items() if where == brin}
            counts = (one.registrations, one.from_cambo, one.unconfirmed, one.compared, one.stuck)
            tallies = of_it.values()
            rows.append(
                (
                    *(brin, as_of, *counts, one.elsewhere, list(one.findings), list(of_it)),
                    [tally.registrations for tally in tallies],
                    [tally.compared for tally in tallies],
                    [tally.stuck for tally in tallies],
                )
            )
        await self._connection.executemany(_ADD_COMPLETENESS, rows)

    async def completeness(
        self,
    ) -> tuple[datetime | None, dict[SenderKey, tuple[int, int, int, float | None]]]:
        """Return when registrations were counted; of each sender: known, compared, stuck, share elsewhere."""
        rows = await self._connection.fetch(_COMPLETENESS)
        return max((row["as_of"] for row in rows), default=None), {
            (row["brin"], sender): (known, compared, stuck, row["elsewhere"])
            for row in rows
            for sender, known, compared, stuck in zip(
                row["senders"],
                row["sender_registrations"],
                row["sender_compared"],
                row["sender_stuck"],
                strict=True,
            )
        }

    async def states(self) -> dict[SenderKey, SenderState]:
        """Return the state of each sender as frozen."""
        rows = await self._connection.fetch(_STATES)
        return {(row["brin"], row["organisation_id"]): SenderState(row["state"]) for row in rows}

    async def frozen_at(self) -> datetime | None:
        """Return when the senders were frozen, None: not yet."""
        found: datetime | None = await self._connection.fetchval(_FROZEN)
        return found

    async def page(self, after: str, size: int, *, remarkable: bool) -> list[str]:
        """Return up to `size` institutions after one; `remarkable`: only those with a finding."""
        return [row["brin"] for row in await self._connection.fetch(_PAGE, after, size, remarkable)]

    async def of_institutions(
        self, brins: Collection[str], as_of: datetime, refused_since: date
    ) -> list[DeliveryQuality]:
        """Return what is frozen of these institutions, in their order."""
        wanted = list(brins)
        senders: dict[str, list[SenderDelivery]] = {brin: [] for brin in wanted}
        refusals: dict[tuple[str, int], list[tuple[Refusal, int]]] = {}
        for row in await self._connection.fetch(_REFUSALS, wanted, refused_since):
            key = row["brin"], row["organisation_id"]
            refusals.setdefault(key, []).append((Refusal(row["code"]), row["messages"]))
        for row in await self._connection.fetch(_OF, wanted):
            told = refusals.get((row["brin"], row["organisation_id"]), [])
            senders[row["brin"]].append(_sender(row, told))
        rows = await self._connection.fetch(_COMPLETENESS_OF, wanted)
        known = {row["brin"]: _completeness(row) for row in rows}
        return [
            DeliveryQuality(known.get(brin, Completeness(brin)), tuple(senders[brin]), as_of)
            for brin in wanted
        ]

    async def totals(self) -> dict[tuple[str, str], int]:
        """Return how many senders are in each state, and how often each finding stands."""
        rows = await self._connection.fetch(_TOTALS)
        return {(row["kind"], row["name"]): row["count"] for row in rows}


def _organisation(number: int, row: asyncpg.Record) -> Organisation:
    return Organisation(number, row["oin"], Role(row["role"]), row["name"], row["region"])


def _sender(row: asyncpg.Record, refusals: Sequence[tuple[Refusal, int]]) -> SenderDelivery:
    return SenderDelivery(
        row["brin"],
        _organisation(row["organisation_id"], row),
        row["last_message_at"],
        Rhythm(
            SenderState(row["state"]),
            row["usual_gap"],
            row["long_gap"],
            row["days_without"],
            row["silent_after"],
        ),
        Counts(row["messages"], row["refused"], row["unusual"], row["late"], tuple(row["delays"])),
        row["registrations"],
        row["stuck"],
        tuple(DeliveryFinding(one) for one in row["findings"]),
        tuple(refusals),
    )


def _completeness(row: asyncpg.Record) -> Completeness:
    return Completeness(
        row["brin"],
        row["registrations"],
        row["from_cambo"],
        row["unconfirmed"],
        row["compared"],
        row["stuck"],
        row["elsewhere"],
        tuple(DeliveryFinding(one) for one in row["findings"]),
    )
