"""The security log: who did what, on whose behalf, when, and how it ended. Never a person's data.

What is done is on record before it is answered. What is refused is counted and written each second, in groups
of alike ones: a flood of refusals must not become a flood of rows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from app.domain.errors import UnavailableError
from app.domain.record import OPERATOR, SecurityEvent, SecurityOutcome, SecurityRecord
from app.persistence.unit_of_work import reading
from app.request_log import REQUEST
from app.services.together import Together
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.persistence.database import Database

_EVERY_SECONDS = 1.0
_KINDS_AT_MOST = 1000  # of refusals a second; beyond that they are counted without their client
_REFUSALS = frozenset({"FORBIDDEN", "UNAUTHENTICATED"})


class _Refusal(NamedTuple):
    event: SecurityEvent
    actor: str | None
    detail: str


class RefusalCounts:
    """Refusals that are not written yet; one for the process, since errors are made where nobody is known."""

    def __init__(self) -> None:
        self._counts: Counter[_Refusal] = Counter()

    def add(self, event: SecurityEvent, actor: str | None, detail: str, count: int = 1) -> None:
        """Count a refusal."""
        refusal = _Refusal(event, actor, detail)
        if len(self._counts) >= _KINDS_AT_MOST and refusal not in self._counts:
            refusal = _Refusal(event, None, detail)
        self._counts[refusal] += count

    def take(self) -> list[tuple[_Refusal, int]]:
        """Return what was counted, and begin anew."""
        taken, self._counts = list(self._counts.items()), Counter()
        return taken


REFUSALS = RefusalCounts()


def note_refusal(code: str) -> None:
    """Count a request that was refused, when its code says that somebody wanted what they may not have."""
    if code in _REFUSALS:
        request = REQUEST.get()
        REFUSALS.add(SecurityEvent.ACCESS_REFUSED, None if request is None else request.client_id, code)


class SecurityLog:
    """Writes the security log of one hub."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._together: Together[SecurityRecord, None] = Together(self._write)

    async def record(
        self, event: SecurityEvent, *, actor: str, on_behalf_of: str | None = None, detail: str | None = None
    ) -> None:
        """Put on record what is done; it is committed on return."""
        await self._together.do(
            SecurityRecord(self._clock(), event, actor=actor, on_behalf_of=on_behalf_of, detail=detail)
        )

    async def run(self) -> None:
        """Write refusals for as long as the process lives."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self.finish()

    async def finish(self) -> None:
        """Write what there is, as well as it goes; what does not go stays, and is logged if unforeseen."""
        try:
            await self.flush()
        except UnavailableError:
            return
        except Exception:
            log.exception("security_log_failed")

    async def flush(self) -> None:
        """Write the refusals that were counted; they are counted on when the database does not answer."""
        taken = REFUSALS.take()
        now = self._clock()
        try:
            await self._write(
                [
                    SecurityRecord(
                        now,
                        refusal.event,
                        SecurityOutcome.REFUSED,
                        actor=refusal.actor,
                        detail=refusal.detail,
                        count=count,
                    )
                    for refusal, count in taken
                ]
            )
        except BaseException:
            for refusal, count in taken:
                REFUSALS.add(*refusal, count)
            raise

    async def _write(self, records: Sequence[SecurityRecord]) -> list[None]:
        if records:
            async with reading(self._database) as unit:  # one statement that commits itself
                await unit.records.add_security(records)
        return [None] * len(records)


async def record_once(
    database: Database, event: SecurityEvent, *, subject: str, detail: str | None = None
) -> None:
    """Put on record what the operator did on the command line."""
    async with reading(database) as unit:
        await unit.records.add_security(
            [SecurityRecord(datetime.now(UTC), event, actor=OPERATOR, subject=subject, detail=detail)]
        )
