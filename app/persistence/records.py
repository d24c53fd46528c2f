"""The security log and the processing log: rows are added here, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.persistence.packing import pack, pack_each, pack_moments, pack_nullable, unpack
from app.persistence.parts import Part, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from app.domain.record import ProcessingRecord, SecurityRecord

_ADD_SECURITY = f"""
insert into security_record (at, event, outcome, actor, on_behalf_of, subject, detail, count)
select * from unnest({unpack(1, "timestamptz")}, {unpack(2)}, {unpack(3)}, {unpack(4)}, {unpack(5)},
                     {unpack(6)}, {unpack(7)}, {unpack(8, "integer")})
"""
_ADD_PROCESSING = f"""
processed as (
insert into processing_record (trace_id, span_id, activity, organisation_id, client_id, status, started_at,
                               ended_at, student_ids, first_number, last_number)
select trace_id, span_id, activity, organisation_id, client_id, status, started_at, ended_at,
       student_ids::bigint[], first_number, last_number
from unnest({unpack(1)}, {unpack(2)}, {unpack(3)}, {unpack(4, "bigint")}, {unpack(5)}, {unpack(6)},
            {unpack(7, "timestamptz")}, {unpack(8, "timestamptz")}, {unpack(9)},
            {unpack(10, "bigint")}, {unpack(11, "bigint")})
     as added (trace_id, span_id, activity, organisation_id, client_id, status, started_at, ended_at,
               student_ids, first_number, last_number)
)
"""


def processing(records: Sequence[ProcessingRecord]) -> Part:
    """Return what adds processings of personal data."""
    begun = [one.processing for one in records]
    return Part(
        _ADD_PROCESSING,
        (
            pack([one.trace_id for one in begun]),
            pack([one.span_id for one in begun]),
            pack([one.activity for one in begun]),
            pack_each([one.organisation_id for one in begun]),
            pack([one.client_id for one in begun]),
            pack([one.status for one in records]),
            pack_moments([one.started_at for one in begun]),
            pack_moments([one.ended_at for one in records]),
            pack([f"{{{','.join(map(str, one.student_ids))}}}" for one in records]),
            pack_nullable(None if one.numbers is None else one.numbers[0] for one in records),
            pack_nullable(None if one.numbers is None else one.numbers[1] for one in records),
        ),
    )


class Records:
    """Both logs, in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def add_security(self, records: Sequence[SecurityRecord]) -> None:
        """Add events of security."""
        if not records:
            return
        await self._connection.execute(
            _ADD_SECURITY,
            pack_moments(one.at for one in records),
            pack(one.event for one in records),
            pack(one.outcome for one in records),
            pack_nullable(one.actor or None for one in records),
            pack_nullable(one.on_behalf_of or None for one in records),
            pack_nullable(one.subject or None for one in records),
            pack_nullable(one.detail or None for one in records),
            pack_each(one.count for one in records),
        )

    async def add_processing(self, records: Sequence[ProcessingRecord]) -> None:
        """Add processings of personal data."""
        if records:
            await write(self._connection, [processing(records)])
