"""Figures on multiple registrations, and what of them may be said.

Expected enrolments by one rule: a student becomes one enrolment at most, and this one chance is shared over
the student's live registrations in a school year by the weight of their status (`STATUS_WEIGHT`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from app.domain.cube import MILLION, Cell

if TYPE_CHECKING:
    from datetime import datetime

EMPTY = Cell("", "")
_NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class DisclosedCount:
    """A count as it may be shown: below the threshold it is suppressed."""

    value: int | None
    suppressed: bool
    display: str


@dataclass(frozen=True, slots=True)
class DisclosedEstimate:
    """An estimate with its interval of 95 %, suppressed where the count behind it is."""

    value: float | None
    low: float | None
    high: float | None
    suppressed: bool
    display: str


@dataclass(frozen=True, slots=True)
class DisclosedFigures:
    """The figures of one cell as they may be shown."""

    programme_code: str
    registrations: DisclosedCount
    live: DisclosedCount
    multiple: DisclosedCount
    multiple_live: DisclosedCount
    students: DisclosedCount
    expected_enrolments: DisclosedEstimate


@dataclass(frozen=True, slots=True)
class MultipleRegistrationStatistics:
    """One institution's (None: national) figures of a school year, from a snapshot."""

    as_of: datetime
    brin: str | None
    school_year: int
    total: DisclosedFigures
    by_programme: tuple[DisclosedFigures, ...]


def disclose(cell: Cell, threshold: int) -> DisclosedFigures:
    """Return what may be said of a cell: no count below the threshold, and nothing computed from one."""
    return DisclosedFigures(
        cell.category,
        _count(cell.registrations, threshold),
        _count(cell.live, threshold),
        _count(cell.multiple, threshold),
        _count(cell.multiple_live, threshold),
        _count(cell.students, threshold),
        _estimate(cell, threshold),
    )


def _count(count: int, threshold: int) -> DisclosedCount:
    if count < threshold:
        return DisclosedCount(None, suppressed=True, display=f"<{threshold}")
    return DisclosedCount(count, suppressed=False, display=str(count))


def _estimate(cell: Cell, threshold: int) -> DisclosedEstimate:
    if cell.live < threshold:
        return DisclosedEstimate(None, None, None, suppressed=True, display=f"<{threshold}")
    value = cell.expected / MILLION
    margin = _NORMAL_95 * sqrt(cell.variance / MILLION)
    low, high = max(0.0, value - margin), min(float(cell.live), value + margin)
    display = f"{value:.0f} ({low:.0f} to {high:.0f})"
    return DisclosedEstimate(
        round(value, 1), round(low, 1), round(high, 1), suppressed=False, display=display
    )
