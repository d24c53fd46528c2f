"""Announcing and removing what has been kept for long enough, and removing a student at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, Scope, require
from app.domain.errors import BadUserInputError, UnavailableError
from app.domain.record import Activity, SecurityEvent, SecurityRecord
from app.domain.retention import Announce, RetentionRule, Step
from app.persistence.retry import CONTENTION
from app.persistence.unit_of_work import reading, unit_of_work
from app.services.processing_log import ProcessingLog
from app.services.removal_ledger import Removal, write_removals
from app.telemetry import STUDENTS_REMOVED, log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection
    from datetime import datetime
    from pathlib import Path

    from app.domain.personal_number import KeyChain, PersonalNumber
    from app.persistence.database import Database
    from app.persistence.unit_of_work import UnitOfWork
    from app.services.key_files import KeySource

_LOOKED_AT = 1000  # students a statement
_BITE = 50  # students a transaction: their rows are locked until it ends
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Swept:
    """How many students were looked at so far, announced, and removed."""

    looked_at: int = 0
    announced: int = 0
    removed: int = 0


class RetentionService:
    """Keeps what is known of students for as long as the rule says, and no longer."""

    def __init__(
        self,
        database: Database,
        keys: KeySource[KeyChain],
        clock: Callable[[], datetime],
        ring: Callable[[], None],
        *,
        rule: RetentionRule,
        ledger: Path,
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._ring = ring
        self._rule = rule
        self._ledger = ledger
        self._log = ProcessingLog(database, clock)

    async def sweep(self) -> Swept:
        """Announce and remove all that is due; return how much that was."""
        done = Swept()
        async for progress in self.sweeping():
            done = progress
        if done.announced or done.removed:
            log.info("students_swept", announced=done.announced, removed=done.removed)
        return done

    async def sweeping(self) -> AsyncGenerator[Swept, None]:
        """Announce and remove what is due, in bites; yield what was done so far after each look."""
        last, swept = 0, Swept()
        while True:
            now = self._clock()
            async with reading(self._database) as unit:
                traces = await unit.retention.traces(last, _LOOKED_AT, codes.today(now))
            if not traces:
                return
            last = traces[-1].student_id
            due = [one.student_id for one in traces if self._rule.decide(one, now) is not Step.KEEP]
            announced, removed = swept.announced, swept.removed
            for start in range(0, len(due), _BITE):
                told, gone = await self._settle(due[start : start + _BITE])
                announced, removed = announced + told, removed + gone
            swept = Swept(swept.looked_at + len(traces), announced, removed)
            yield swept

    async def _settle(self, student_ids: Collection[int]) -> tuple[int, int]:
        """Look again at students, locked now, and do what is due; return how many were told and removed."""
        now = self._clock()
        async with unit_of_work(self._database) as unit:
            traces = await unit.retention.lock(student_ids, codes.today(now))
            steps = {one.student_id: self._rule.decide(one, now) for one in traces}
            told = [(one, step.removal_at) for one, step in steps.items() if isinstance(step, Announce)]
            gone = [one for one, step in steps.items() if step is Step.REMOVE]
            if told:
                await unit.retention.announce(told, now)
            if gone:
                await self._remove(unit, gone, now)
                removal = SecurityRecord(now, SecurityEvent.STUDENTS_REMOVED, count=len(gone))
                await unit.records.add_security([removal])
        if told:
            self._ring()
        STUDENTS_REMOVED.labels("retention").inc(len(gone))
        return len(told), len(gone)

    async def erase(self, principal: Principal, number: PersonalNumber) -> bool:
        """Remove everything about a student at once; tell whether the hub knew anything.

        Raises BadUserInputError when this is no personal number, and UnavailableError when it cannot be done
        now: then nothing is removed.
        """
        require(principal, Scope.STUDENTS_ERASE)
        digits = number.digits()
        if digits is None:
            field = "input.personalNumber"
            raise BadUserInputError(field, "This is no personal number.")
        pseudonym = self._keys.latest().pseudonyms(digits)
        processing = self._log.begin(principal, Activity.ERASE_STUDENT)
        for _ in range(_ATTEMPTS):
            try:
                now = self._clock()
                async with unit_of_work(self._database) as unit:
                    found = await unit.students.find([pseudonym])
                    there = await unit.retention.lock(found.values(), codes.today(now))
                    ids = [one.student_id for one in there]
                    if not ids:
                        return False
                    await self._remove(unit, ids, now)
                    await unit.records.add_processing([self._log.ended(processing, ids)])
            except CONTENTION:
                continue
            except OSError as error:
                log.error("removal_ledger_unusable", error=type(error).__name__)  # noqa: TRY400 - its text may hold a path
                raise UnavailableError from error
            STUDENTS_REMOVED.labels("request").inc()
            return True
        raise UnavailableError

    async def _remove(self, unit: UnitOfWork, student_ids: Collection[int], now: datetime) -> None:
        """Remove students that are locked: figures carried on, a line in the ledger each, then the rows."""
        await unit.statistics.carry(student_ids)
        removals = [
            Removal(pseudonym, version, now)
            for _, pseudonym, version in await unit.retention.pseudonyms(student_ids)
        ]
        await unit.retention.remove(student_ids)
        await asyncio.to_thread(write_removals, self._ledger, removals)
