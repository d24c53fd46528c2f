"""Following students: what a transfer system asks for, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.status_message import Defect, Refusal

if TYPE_CHECKING:
    from app.domain.codes import Status, StatusSource
    from app.domain.personal_number import PersonalNumber
    from app.domain.registration import Registration

_FIRST_DAY = date(2016, 8, 1)  # of the first school year
_APPLICATIONS_OPEN_MONTH = 10  # from 1 October pupils apply for the school year after the present one


class FollowOutcome(StrEnum):
    """What became of a wish to follow a student."""

    FOLLOWED = "FOLLOWED"
    ALREADY_FOLLOWED = "ALREADY_FOLLOWED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class FollowedFilter:
    """Which followed students are asked for; None: no restriction.

    `school_year`: with a registration in it. `without_live_registration`: without (or with) a live one, in
    that year where one is given. `on`: by the statuses at the end of that day (Europe/Amsterdam).
    """

    school_year: int | None = None
    without_live_registration: bool | None = None
    on: date | None = None

    def defect(self, now: datetime) -> str | None:
        """Return the name of the field that cannot be, or None."""
        if self.school_year is not None and not codes.is_school_year(self.school_year, now):
            return "schoolYear"
        if self.on is not None and not _FIRST_DAY <= self.on <= codes.today(now):
            return "on"
        return None

    @property
    def before(self) -> datetime | None:
        """The moment at which the day ends."""
        if self.on is None:
            return None
        return datetime.combine(self.on + timedelta(days=1), time(), codes.AMSTERDAM)


@dataclass(frozen=True, slots=True)
class StudentToFollow:
    """A student as a transfer system names it: by personal number, under its own reference."""

    personal_number: PersonalNumber
    reference: str
    leaving_school: str | None = None
    until: date | None = None

    def defect(self, digits: str | None, today: date) -> Defect | None:
        """Return what is wrong with the form, or None."""
        if digits is None:
            return Defect(Refusal.PERSONAL_NUMBER_INVALID)
        field: str | None = None
        if not codes.is_identifier(self.reference):
            field = "reference"
        elif self.leaving_school is not None and not codes.is_school(self.leaving_school):
            field = "leavingSchool"
        elif self.until is not None and self.until < today:
            field = "until"
        return None if field is None else Defect(Refusal.FIELD_INVALID, field)


@dataclass(frozen=True, slots=True)
class Follow:
    """A follow that is open."""

    id: int
    student_id: int
    reference: str
    since: datetime
    until: date


@dataclass(frozen=True, slots=True)
class FollowResult:
    """What became of one wish, with the student's registrations as of the feed position beside it."""

    reference: str
    outcome: FollowOutcome
    code: Refusal | None = None
    field: str | None = None
    registrations: tuple[Registration, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A registration with the status that it had at the end of a day, and since when, as now known."""

    registration: Registration
    status: Status
    since: datetime
    source: StatusSource


@dataclass(frozen=True, slots=True)
class FollowedStudent:
    """A student that the caller follows, by its own reference. `standing`: where a day was asked for."""

    reference: str
    followed_since: datetime
    until: date
    registrations: tuple[Registration, ...]
    standing: tuple[Standing, ...] | None = None


def default_until(today: date) -> date:
    """Return 31 December of the year in which the school year of the transition begins.

    From 1 October on that is the school year after the present one.
    """
    return date(today.year + (today.month >= _APPLICATIONS_OPEN_MONTH), 12, 31)
