"""Figures as they may be shown, each with its own moment.

Figures about a student's other registrations stand still until they may move (see `disclosure.moving`), so
figures of one table can be of different moments. `docs/disclosure.md` has the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.disclosure.patterns import TOTAL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from app.domain.disclosure.publishing import TableName


@dataclass(frozen=True, slots=True)
class DisclosedCount:
    """A count as it may be shown; where it is suppressed there is no value."""

    value: int | None
    suppressed: bool
    display: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class DisclosedEstimate:
    """An estimate with its interval of 95 %, suppressed where the figures behind it are."""

    value: float | None
    low: float | None
    high: float | None
    suppressed: bool
    display: str
    as_of: datetime
    school_years: int | None  # how many earlier ones it builds on


@dataclass(frozen=True, slots=True)
class DisclosedFigures:
    """The figures of one programme ('': of all)."""

    programme_code: str
    registrations: DisclosedCount
    live: DisclosedCount
    multiple: DisclosedCount
    multiple_live: DisclosedCount
    students: DisclosedCount
    expected_enrolments: DisclosedEstimate


@dataclass(frozen=True, slots=True)
class StudentsOf:
    """How many students are in a category: a number of live registrations, or another institution."""

    category: str
    students: DisclosedCount


@dataclass(frozen=True, slots=True)
class MultipleRegistrationStatistics:
    """One institution's (None: national) figures of a school year, from a snapshot."""

    as_of: datetime
    brin: str | None
    school_year: int
    total: DisclosedFigures
    by_programme: tuple[DisclosedFigures, ...]
    by_live_registrations: tuple[StudentsOf, ...]
    overlap: tuple[StudentsOf, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Registrations of one category, and the live ones among them where the table has them."""

    category: str
    registrations: DisclosedCount
    live: DisclosedCount | None


@dataclass(frozen=True, slots=True)
class RegistrationStatistics:
    """The cube's tables of one institution (None: national) in a school year."""

    as_of: datetime
    brin: str | None
    school_year: int
    total: Row
    tables: Mapping[TableName, tuple[Row, ...]]

    @classmethod
    def of_total(
        cls, as_of: datetime, brin: str | None, school_year: int, figures: DisclosedFigures
    ) -> RegistrationStatistics:
        """Return the total alone."""
        return cls(as_of, brin, school_year, Row(TOTAL, figures.registrations, figures.live), {})


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many students of a region some transfer system follows, and who has not reported for long."""

    as_of: datetime
    region: str
    school_year: int
    followed: DisclosedCount
    not_followed: DisclosedCount
    silent: tuple[str, ...]
