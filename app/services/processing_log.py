"""The processing log (Logboek Dataverwerkingen): one row per operation on personal data, none left out.

Writes put it into their own transaction. Reads are committed here before they are answered: many that run at
the same time share one INSERT. No record, no answer.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from app.domain.record import Activity, Processing, ProcessingRecord
from app.persistence.unit_of_work import reading
from app.request_log import REQUEST
from app.services.together import Together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from app.domain.access import Principal
    from app.persistence.database import Database


class ProcessingLog:
    """Begins and records processings."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._together: Together[ProcessingRecord, None] = Together(self._write, at_most=256)

    def begin(self, principal: Principal, activity: Activity) -> Processing:
        """Return a processing that begins now, in the trace of the request if it came with one."""
        request = REQUEST.get()
        return Processing(
            activity,
            principal.organisation_id,
            principal.client_id,
            (request and request.trace_id) or os.urandom(16).hex(),
            self._clock(),
        )

    def ended(self, processing: Processing, student_ids: Iterable[int]) -> ProcessingRecord:
        """Return the record of a processing that ends now; each student stands in it once."""
        return ProcessingRecord(processing, self._clock(), tuple(sorted(set(student_ids))))

    def delivered(self, deliveries: Iterable[tuple[Processing, int, int]]) -> list[ProcessingRecord]:
        """Return the records of deliveries up to now: each of the numbers of a feed from one to another."""
        now = self._clock()
        return [
            ProcessingRecord(processing, now, (), numbers=(first, last))
            for processing, first, last in deliveries
        ]

    async def read(self, processing: Processing, student_ids: Iterable[int]) -> None:
        """Put a read on record; committed on return. One that found nobody is no processing of anybody."""
        record = self.ended(processing, student_ids)
        if record.student_ids:
            await self._together.do(record)

    async def _write(self, records: Sequence[ProcessingRecord]) -> list[None]:
        async with reading(self._database) as unit:  # one statement that commits itself
            await unit.records.add_processing(records)
        return [None] * len(records)
