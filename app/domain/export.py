"""Exports: what stands in the columns, and how a cell is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from app.domain.access import Scope
from app.domain.codes import OLDER_CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from app.domain.catalogue import Institution, Programme
    from app.domain.codes import Status, StatusSource
    from app.domain.following import FollowedFilter, FollowedStudent
    from app.domain.registration import Registration

LINK_LIFE = timedelta(minutes=10)

FOLLOWED_STUDENTS = (
    "reference",
    "followed_since",
    "until",
    "application_id",
    "brin",
    "institution",
    "programme_code",
    "programme",
    "level",
    "learning_path",
    "school_year",
    "programme_year",
    "status",
    "status_code",
    "status_since",
    "status_source",
)
_NOTHING = ("",) * (len(FOLLOWED_STUDENTS) - 3)
# What a spreadsheet may take for a formula, or for white space before one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class ExportFormat(StrEnum):
    """How an export is written."""

    CSV = "CSV"
    XLSX = "XLSX"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is to be exported: the caller's followed students that fit."""

    scope: ClassVar[Scope] = Scope.STUDENTS_FOLLOW

    wanted: FollowedFilter
    format: ExportFormat

    @property
    def file_name(self) -> str:
        """How the file is called."""
        return f"followed-students.{self.format.lower()}"


@dataclass(frozen=True, slots=True)
class OverviewRequest:
    """What is to be exported: the annual overview of a school year."""

    scope: ClassVar[Scope] = Scope.STATISTICS_READ

    school_year: int
    format: ExportFormat

    @property
    def file_name(self) -> str:
        """How the file is called."""
        return f"annual-overview-{self.school_year}.{self.format.lower()}"


AnyExport = ExportRequest | OverviewRequest


def guarded(text: str) -> str:
    """Return the text of a cell; before one that a spreadsheet could run stands an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def lines_of(
    student: FollowedStudent,
    institution_of: Callable[[str], Institution],
    programme_of: Callable[[str], Programme],
) -> Iterator[tuple[str, ...]]:
    """Yield a line for each registration of a student, or one without; on a day those that stood then."""
    head = (guarded(student.reference), moment(student.followed_since), student.until.isoformat())
    standing = (
        [(one, one.status, one.status_since, one.status_source) for one in student.registrations]
        if student.standing is None
        else [(one.registration, one.status, one.since, one.source) for one in student.standing]
    )
    if not standing:
        yield (*head, *_NOTHING)
    for registration, status, since, source in standing:
        institution = institution_of(registration.brin)
        programme = programme_of(registration.programme_code)
        yield (*head, *_cells(registration, institution, programme), *_status(status, since, source))


def _cells(registration: Registration, institution: Institution, programme: Programme) -> tuple[str, ...]:
    return (
        guarded(registration.application_id),
        registration.brin,
        guarded(institution.name),
        registration.programme_code,
        guarded(programme.name or ""),
        "" if programme.level is None else str(programme.level),
        registration.learning_path.value,
        str(registration.school_year),
        str(registration.programme_year),
    )


def _status(status: Status, since: datetime, source: StatusSource) -> tuple[str, ...]:
    return status.value, OLDER_CODES[status], moment(since), source.value


def moment(at: datetime) -> str:
    """Return a moment as it stands in a cell: RFC 3339, UTC, whole seconds."""
    return at.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
