"""Mandates: periods in which a SIS vendor may act for an institution. Both ends are inclusive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Days from `start` to `end`, both included; `end` is `date.max` when it is open."""

    start: date
    end: date = date.max

    def __post_init__(self) -> None:
        if self.end < self.start:
            message = "a period ends before it starts"
            raise ValueError(message)

    def __contains__(self, day: date) -> bool:
        return self.start <= day <= self.end


@dataclass(frozen=True, slots=True)
class Mandate:
    """What a SIS vendor may do for an institution; both days are included, None is open."""

    brin: str
    valid_from: date
    valid_to: date | None


def _before(day: date) -> date:
    return day - _DAY if day > date.min else day


def _after(day: date) -> date:
    return day + _DAY if day < date.max else day


def with_period(periods: Iterable[Period], added: Period) -> tuple[Period, ...]:
    """Return the periods with one more; those that touch or overlap it become one with it."""
    apart: list[Period] = []
    for period in periods:
        if period.end < _before(added.start) or period.start > _after(added.end):
            apart.append(period)
        else:
            added = Period(min(added.start, period.start), max(added.end, period.end))
    return tuple(sorted([*apart, added]))


def without_period(periods: Iterable[Period], removed: Period) -> tuple[Period, ...]:
    """Return what is left of the periods when the days of one are taken out."""
    left: list[Period] = []
    for period in periods:
        if period.end < removed.start or period.start > removed.end:
            left.append(period)
            continue
        if period.start < removed.start:
            left.append(Period(period.start, _before(removed.start)))
        if period.end > removed.end:
            left.append(Period(_after(removed.end), period.end))
    return tuple(sorted(left))
