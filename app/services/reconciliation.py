"""A sender compares what it holds with what the hub holds. Nothing is changed by it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, Role, Scope, require
from app.domain.errors import BadUserInputError, ForbiddenError, LimitExceededError
from app.domain.reconciliation import Part, compare, is_prefix
from app.domain.record import Activity
from app.domain.school_year import NO_SCHOOL_YEAR
from app.persistence.unit_of_work import reading
from app.persistence.visible_registrations import Viewpoint
from app.services.processing_log import ProcessingLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from app.domain.reconciliation import Comparison, ListedRegistration, RegistrationDigest
    from app.persistence.database import Database
    from app.persistence.unit_of_work import UnitOfWork

LISTED_AT_MOST = 1000
_DIGESTS_AT_A_TIME = 2  # in a process: one reads all that a sender has at an institution


class TooManyBelowPrefixError(LimitExceededError):
    """The hub holds more than 1,000 registrations below this prefix: compare below longer ones."""


class ReconciliationService:
    """Digests for finding out where the two sides differ, and lists for finding out in what."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._log = ProcessingLog(database, clock)
        self._digesting = asyncio.Semaphore(_DIGESTS_AT_A_TIME)

    async def digest(self, principal: Principal, part: Part) -> RegistrationDigest:
        """Return count and digest of a part, and of its children.

        A SIS vendor has what it reported itself, at an institution with a mandate today; CAMBO has all.
        """
        self._check(principal, part)
        async with self._digesting, reading(self._database) as unit:
            await self._require_mandate(unit, principal, part.brin)
            return await unit.reconciliation.digest(principal.organisation_id, principal.role, part)

    async def compare(
        self, principal: Principal, part: Part, listed: Sequence[ListedRegistration]
    ) -> Comparison:
        """Compare up to 1,000 registrations, all that the sender has in this part, with those at the hub."""
        self._check(principal, part, "input.")
        if len(listed) > LISTED_AT_MOST:
            field = "input.registrations"
            raise BadUserInputError(field, "A list has up to 1,000 registrations.")
        processing = self._log.begin(principal, Activity.COMPARE_REGISTRATIONS)
        organisation_id, role = principal.organisation_id, principal.role
        possible = {one.application_id for one in listed if codes.is_identifier(one.application_id)}
        async with reading(self._database) as unit:
            today = await self._require_mandate(unit, principal, part.brin)
            viewpoint = Viewpoint(organisation_id, role, today, vavo=True)
            held = await unit.reconciliation.held(organisation_id, role, part, LISTED_AT_MOST + 1)
            if len(held) > LISTED_AT_MOST:
                raise TooManyBelowPrefixError
            known = await unit.seen_from(viewpoint).by_application_ids(possible)
        subjects = {one.student_id for one in held} | {one.student_id for one in known.values()}
        await self._log.read(processing, subjects)
        return compare(part, listed, known, held)

    def _check(self, principal: Principal, part: Part, path: str = "") -> None:
        require(principal, Scope.STATUSES_REPORT)
        field, message = None, ""
        if not codes.is_brin(part.brin):
            field, message = "brin", "This is no BRIN."
        elif not codes.is_school_year(part.school_year, self._clock()):
            field, message = "schoolYear", NO_SCHOOL_YEAR
        elif not is_prefix(part.prefix):
            field, message = "prefix", "A prefix has up to 8 hexadecimal digits, in small letters."
        if field is not None:
            raise BadUserInputError(f"{path}{field}", message)

    async def _require_mandate(self, unit: UnitOfWork, principal: Principal, brin: str) -> date:
        today = codes.today(self._clock())
        if principal.role is Role.SIS:
            context = await unit.messages.context(principal.organisation_id, today)
            if (principal.organisation_id, brin) not in context.mandates:
                raise ForbiddenError
        return today
