"""Both logs as the operator reads them: a stretch of time, about everybody or about one student.

Read in stretches of ids, so that neither memory nor a statement grows with the log.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from app.domain.record_export import RecordLog, records_of
from app.persistence.unit_of_work import reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime

    from app.domain.personal_number import KeyChain
    from app.domain.record_export import KeptSecurityRecord, SubjectRecord
    from app.persistence.database import Database
    from app.services.subjects import SubjectIds

_STRETCH = 1_000  # rows; each may be about a thousand students
_LATE = timedelta(hours=1)  # ids rise with time, but for those who were long in committing


class RecordSearch:
    """Looks into both logs."""

    def __init__(self, database: Database, subjects: SubjectIds, register: str) -> None:
        self._database = database
        self._subjects = subjects
        self._register = register

    async def student(self, keys: KeyChain, digits: str) -> int | None:
        """Return the hub's own id of a student, or None when it knows none of that number."""
        pseudonyms = keys.pseudonyms(digits)
        async with reading(self._database) as unit:
            return (await unit.students.find([pseudonyms])).get(pseudonyms[0])

    async def processings(
        self, since: datetime, until: datetime, student_id: int | None = None
    ) -> AsyncIterator[SubjectRecord]:
        """Yield the processings that ended in [since, until): for all data subjects, or for one student."""
        wanted = None if student_id is None else self._subjects.seal(student_id)
        async for after, up_to in self._stretches(RecordLog.PROCESSING, since):
            async with reading(self._database) as unit:
                rows = await unit.record_exports.processings_between(after, up_to, since, until, student_id)
            for row in rows:
                for record in records_of(row, self._subjects.seal, self._register):
                    if wanted is None or record.subject == wanted:
                        yield record

    async def security(self, since: datetime, until: datetime) -> AsyncIterator[KeptSecurityRecord]:
        """Yield the events of security in [since, until)."""
        async for after, up_to in self._stretches(RecordLog.SECURITY, since):
            async with reading(self._database) as unit:
                rows = await unit.record_exports.security_between(after, up_to, since, until)
            for row in rows:
                yield row

    async def _stretches(self, log: RecordLog, since: datetime) -> AsyncIterator[tuple[int, int]]:
        async with reading(self._database) as unit:
            last = await unit.record_exports.latest_id(log)
        first = await self._first(log, since - _LATE, last)
        for stretch in _stretches(first - 1, last):
            yield stretch

    async def _first(self, log: RecordLog, since: datetime, last: int) -> int:
        """Return the first id whose row is not before a moment, by halving."""
        low, high = 1, last + 1
        async with reading(self._database) as unit:
            while low < high:
                middle = (low + high) // 2
                found = await unit.record_exports.first_from(log, middle)
                if found is None or found[1] >= since:
                    high = middle
                else:
                    low = found[0] + 1
        return low


def _stretches(after: int, last: int) -> Iterator[tuple[int, int]]:
    for begin in range(after, last, _STRETCH):
        yield begin, min(begin + _STRETCH, last)
