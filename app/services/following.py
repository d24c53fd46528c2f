"""Following students, and seeing what stands for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, Scope, require
from app.domain.errors import BadUserInputError, UnavailableError
from app.domain.following import (
    Follow,
    FollowedFilter,
    FollowedStudent,
    FollowOutcome,
    FollowResult,
    Standing,
    StudentToFollow,
    default_until,
)
from app.domain.rates import Quotas
from app.domain.record import Activity
from app.domain.school_year import NO_SCHOOL_YEAR
from app.domain.status_message import Refusal
from app.persistence.follows import NewFollow
from app.persistence.retry import CONTENTION
from app.persistence.unit_of_work import reading, unit_of_work
from app.services.processing_log import ProcessingLog
from app.services.rates import count_failed_numbers, count_follows, tell_of_follows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from app.domain.feed import FeedPosition
    from app.domain.personal_number import KeyChain
    from app.domain.registration import Registration
    from app.persistence.database import Database
    from app.persistence.unit_of_work import UnitOfWork
    from app.services.key_files import KeySource

STUDENTS_AT_MOST = 1000
_EVERYBODY = FollowedFilter()
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Results in the order of the wishes, and a position: what they do not show has a number above it."""

    results: tuple[FollowResult, ...]
    feed: FeedPosition


class FollowingService:
    """What transfer systems do about the students they guide."""

    def __init__(
        self,
        database: Database,
        keys: KeySource[KeyChain],
        clock: Callable[[], datetime],
        *,
        vavo: bool,
        quotas: Quotas | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._vavo = vavo
        self._quotas = quotas or Quotas()
        self._log = ProcessingLog(database, clock)

    async def follow(self, principal: Principal, students: Sequence[StudentToFollow]) -> Snapshot:
        """Follow 1 to 1,000 students, and return what stands for them with the feed's position.

        Two transactions on purpose: the follows are committed before position and registrations are read,
        else a change that commits in between would find no follow and be lost.

        Raises RateLimitedError, and follows nobody, beyond the new follows of a day or when an hour had too
        many personal numbers that are none.
        """
        require(principal, Scope.STUDENTS_FOLLOW)
        if not 1 <= len(students) <= STUDENTS_AT_MOST:
            field = "input.students"
            raise BadUserInputError(field, "A batch has 1 to 1,000 students.")
        now = self._clock()
        if failed := sum(student.personal_number.digits() is None for student in students):
            await count_failed_numbers(self._database, principal, failed, self._quotas, now)
        judged = await self._followed(principal, students, now)
        async with unit_of_work(self._database, "repeatable_read") as unit:
            feed = await unit.feeds.position(principal.organisation_id)
            wanted = {student_id for _, student_id in judged if student_id is not None}
            registrations = await unit.registrations.of_students(wanted, vavo=self._vavo)
        if feed is None:
            raise UnavailableError
        return Snapshot(
            tuple(
                _with_registrations(result, registrations.get(student_id or 0, ()))
                for result, student_id in judged
            ),
            feed,
        )

    async def _followed(
        self, principal: Principal, students: Sequence[StudentToFollow], now: datetime
    ) -> list[tuple[FollowResult, int | None]]:
        """Commit the follows; once more when one of the students was removed at the same moment."""
        processing = self._log.begin(principal, Activity.FOLLOW_STUDENTS)
        for _ in range(_ATTEMPTS):
            try:
                async with unit_of_work(self._database) as unit:
                    judged = await self._record(unit, principal.organisation_id, students)
                    new = sum(result.outcome is FollowOutcome.FOLLOWED for result, _ in judged)
                    use = await count_follows(unit, principal, new, self._quotas, now) if new else None
                    subjects = [student_id for _, student_id in judged if student_id is not None]
                    await unit.records.add_processing([self._log.ended(processing, subjects)])
            except CONTENTION:
                continue
            if use is not None:
                tell_of_follows(principal, new, use)
            return judged
        raise UnavailableError

    async def _record(
        self, unit: UnitOfWork, organisation_id: int, students: Sequence[StudentToFollow]
    ) -> list[tuple[FollowResult, int | None]]:
        now = self._clock()
        today = codes.today(now)
        keys = self._keys.latest()
        digits = [student.personal_number.digits() for student in students]
        defects = [student.defect(number, today) for student, number in zip(students, digits, strict=True)]
        pseudonyms = [
            keys.pseudonyms(number) if number is not None and defect is None else None
            for number, defect in zip(digits, defects, strict=True)
        ]
        await unit.feeds.ensure(organisation_id, complete=False)
        await unit.feeds.lock(organisation_id)
        known = await unit.students.ensure(
            {pseudonym for pseudonym in pseudonyms if pseudonym is not None}, keys
        )
        regions = await unit.registrations.regions(
            {student.leaving_school for student in students if student.leaving_school is not None}
        )
        references = [
            student.reference for student, defect in zip(students, defects, strict=True) if defect is None
        ]
        open_follows = await unit.follows.open_of(
            organisation_id, known.values(), references, now=now, today=today
        )
        book = _Book(open_follows, today)
        judged: list[tuple[FollowResult, int | None]] = []
        for student, defect, pseudonym in zip(students, defects, pseudonyms, strict=True):
            if defect is not None or pseudonym is None:
                code = Refusal.PERSONAL_NUMBER_INVALID if defect is None else defect.code
                field = None if defect is None else defect.field
                judged.append((FollowResult(student.reference, FollowOutcome.REFUSED, code, field), None))
                continue
            region = None if student.leaving_school is None else regions.get(student.leaving_school)
            judged.append(book.enter(student, known[pseudonym[0]], region))
        await unit.follows.add(organisation_id, book.added, now)
        await unit.follows.extend(book.extended)
        return judged

    async def unfollow(self, principal: Principal, references: Sequence[str]) -> tuple[list[str], list[str]]:
        """End follows; return the references that were followed and those that were not."""
        require(principal, Scope.STUDENTS_FOLLOW)
        if not 1 <= len(references) <= STUDENTS_AT_MOST:
            field = "input.references"
            raise BadUserInputError(field, "A batch has 1 to 1,000 references.")
        now = self._clock()
        distinct = list(dict.fromkeys(references))
        async with unit_of_work(self._database) as unit:
            await unit.feeds.lock(principal.organisation_id)
            # What cannot be a reference is none, and PostgreSQL would choke on some of it.
            possible = [reference for reference in distinct if codes.is_identifier(reference)]
            ended = await unit.follows.end(principal.organisation_id, possible, now, codes.today(now))
        return (
            [reference for reference in distinct if reference in ended],
            [reference for reference in distinct if reference not in ended],
        )

    async def followed_students(
        self,
        principal: Principal,
        after: str,
        size: int,
        wanted: FollowedFilter = _EVERYBODY,
        activity: Activity = Activity.READ_FOLLOWED_STUDENTS,
    ) -> list[FollowedStudent]:
        """Return up to `size` followed students after a reference, with their registrations.

        On a day that is asked for also with what stood for them then. On record before it is returned.
        """
        require(principal, Scope.STUDENTS_FOLLOW)
        now = self._clock()
        self.check(wanted)
        processing = self._log.begin(principal, activity)
        async with reading(self._database) as unit:
            follows = await unit.follows.page(
                principal.organisation_id,
                codes.today(now),
                after,
                size,
                school_year=wanted.school_year,
                without_live_registration=wanted.without_live_registration,
                vavo=self._vavo,
                before=wanted.before,
            )
            found = await self._with_registrations(unit, follows, wanted.school_year)
            if wanted.before is not None:
                found = await _with_standing(unit, found, wanted.before)
        await self._log.read(processing, [follow.student_id for follow in follows])
        return found

    def check(self, wanted: FollowedFilter, path: str = "") -> None:
        """Raise BadUserInputError for a filter that cannot be."""
        field = wanted.defect(self._clock())
        if field == "schoolYear":
            raise BadUserInputError(f"{path}{field}", NO_SCHOOL_YEAR)
        if field is not None:
            raise BadUserInputError(f"{path}{field}", "A day from August 2016 up to today is expected.")

    async def followed_student(self, principal: Principal, reference: str) -> FollowedStudent | None:
        """Return one followed student by the caller's own reference, or None."""
        require(principal, Scope.STUDENTS_FOLLOW)
        if not codes.is_identifier(reference):
            return None
        today = codes.today(self._clock())
        processing = self._log.begin(principal, Activity.READ_FOLLOWED_STUDENTS)
        async with reading(self._database) as unit:
            follow = await unit.follows.by_reference(principal.organisation_id, reference, today)
            if follow is None:
                return None
            found = (await self._with_registrations(unit, [follow], None))[0]
        await self._log.read(processing, [follow.student_id])
        return found

    async def _with_registrations(
        self, unit: UnitOfWork, follows: Sequence[Follow], school_year: int | None
    ) -> list[FollowedStudent]:
        registrations = await unit.registrations.of_students(
            [follow.student_id for follow in follows], vavo=self._vavo
        )
        return [
            FollowedStudent(
                follow.reference,
                follow.since,
                follow.until,
                tuple(
                    registration.seen_as(follow.reference)
                    for registration in registrations[follow.student_id]
                    if school_year in {None, registration.school_year}
                ),
            )
            for follow in follows
        ]


async def _with_standing(
    unit: UnitOfWork, students: Sequence[FollowedStudent], before: datetime
) -> list[FollowedStudent]:
    ids = [registration.id for student in students for registration in student.registrations]
    then = await unit.events.standing(ids, before)
    return [
        replace(
            student,
            standing=tuple(
                Standing(registration, *then[registration.id])
                for registration in student.registrations
                if registration.id in then
            ),
        )
        for student in students
    ]


def _with_registrations(result: FollowResult, registrations: Sequence[Registration]) -> FollowResult:
    if not registrations:
        return result
    return FollowResult(
        result.reference,
        result.outcome,
        result.code,
        result.field,
        tuple(registration.seen_as(result.reference) for registration in registrations),
    )


class _Book:
    """The open follows of one organisation while a batch of wishes is entered, each in its turn."""

    def __init__(self, follows: Sequence[Follow], today: date) -> None:
        self._today = today
        self._follow_of_student = {follow.student_id: follow for follow in follows}
        self._student_of_reference = {follow.reference: follow.student_id for follow in follows}
        self._new: dict[int, NewFollow] = {}
        self._extended: dict[int, tuple[int, date, str | None]] = {}

    @property
    def added(self) -> list[NewFollow]:
        return list(self._new.values())

    @property
    def extended(self) -> list[tuple[int, date, str | None]]:
        return list(self._extended.values())

    def enter(
        self, student: StudentToFollow, student_id: int, region: str | None
    ) -> tuple[FollowResult, int | None]:
        """Return what becomes of one wish, and the student whose registrations go with the answer."""
        reference = student.reference
        known = self._follow_of_student.get(student_id)
        new = self._new.get(student_id)
        own_reference = known.reference if known else new.reference if new else None
        holder = self._student_of_reference.get(reference, student_id)
        if holder != student_id or own_reference not in {None, reference}:
            refused = FollowResult(reference, FollowOutcome.REFUSED, Refusal.REFERENCE_IN_USE)
            return refused, None
        if own_reference is None:
            until = student.until or default_until(self._today)
            self._new[student_id] = NewFollow(student_id, reference, region, until)
            self._student_of_reference[reference] = student_id
            return FollowResult(reference, FollowOutcome.FOLLOWED), student_id
        if known is not None and (student.until or region):
            _, until, earlier_region = self._extended.get(known.id, (0, known.until, None))
            self._extended[known.id] = (known.id, student.until or until, region or earlier_region)
        elif new is not None and student.until:
            self._new[student_id] = NewFollow(student_id, reference, region or new.region, student.until)
        return FollowResult(reference, FollowOutcome.ALREADY_FOLLOWED), student_id
