"""After the restore of a backup, or a failover to a copy that lagged: what must be done before hubs start.

Numbers given since the backup would get a second meaning, so every feed moves on and all that is before
expires: receivers take a new snapshot. Students who were removed since are there again, and go again. What
senders reported since is missing; that is for them to find out (`koppelpunt reconcile`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.errors import ConflictError
from app.persistence.advisory_locks import AdvisoryLock
from app.persistence.election import Candidacy
from app.persistence.unit_of_work import reading, unit_of_work
from app.services.removal_ledger import read_removals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    from app.domain.personal_number import KeyChain
    from app.persistence.database import Database

ADVANCE = 10_000_000
_BITE = 50
_STUDENTS_AT_ONCE = 5000
_ENTRIES_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Restored:
    """How many feeds were moved on, and how many students were removed again."""

    feeds: int
    students: int


class RestoreCheck:
    """Makes a restored database fit for use. Broken off, it can be done again."""

    def __init__(self, database: Database, keys: KeyChain, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    async def run(self, ledgers: Iterable[Path]) -> Restored:
        """Move the feeds on and remove again who was removed.

        Raises ConflictError while a hub is at work on this database: it would go on with numbers from before.
        Raises OSError and LedgerError before anything was changed.
        """
        removed = self._latest_removals(ledgers)
        async with Candidacy.standing(
            self._database, AdvisoryLock.DISPATCHER, "restore-check", limit="0"
        ) as candidacy:
            if not await candidacy.try_to_lead():
                message = "A hub is at work on this database: stop all hubs first."
                raise ConflictError(message)
            students = await self._remove_again(removed)
            async with unit_of_work(self._database) as unit:
                feeds = await unit.restoring.advance_feeds(ADVANCE)
            while True:
                async with reading(self._database) as unit:
                    if not await unit.restoring.forget_expired(_ENTRIES_AT_ONCE):
                        break
        return Restored(feeds, students)

    def _latest_removals(self, ledgers: Iterable[Path]) -> dict[bytes, datetime]:
        """Return when each student was removed last, by the pseudonym under the newest key."""
        removed: dict[bytes, datetime] = {}
        for ledger in ledgers:
            for one in read_removals(ledger):
                pseudonym = self._newest(one.pseudonym, one.key_version)
                removed[pseudonym] = max(one.removed_at, removed.get(pseudonym, one.removed_at))
        return removed

    def _newest(self, pseudonym: bytes, version: int) -> bytes:
        return self._keys.advance(pseudonym, version, self._keys.version)

    async def _remove_again(self, removed: dict[bytes, datetime]) -> int:
        last, count = 0, 0
        while True:
            async with reading(self._database) as unit:
                students = await unit.retention.all_pseudonyms(last, _STUDENTS_AT_ONCE)
            if not students:
                return count
            last = students[-1][0]
            known = {one: removed.get(self._newest(value, version)) for one, value, version in students}
            due = {one: at for one, at in known.items() if at is not None}
            for start in range(0, len(due), _BITE):
                count += await self._remove(dict(list(due.items())[start : start + _BITE]))

    async def _remove(self, due: dict[int, datetime]) -> int:
        """Remove students, but for those of whom something was reported after they had been removed."""
        async with unit_of_work(self._database) as unit:
            traces = await unit.retention.lock(due, codes.today(self._clock()))
            gone = [
                one.student_id
                for one in traces
                if one.recorded_at is None or one.recorded_at <= due[one.student_id]
            ]
            if gone:
                await unit.statistics.carry(gone)
                await unit.retention.remove(gone)
        return len(gone)
