"""What became of live registrations in earlier school years, and what that lets expect of those of today.

A stratum is the number of live registrations of the student (4: and more), the status, and the weeks to
1 October. Its chance of becoming the student's enrolment on that day has a Beta posterior: the country's
stratum is shrunk to the country's rate of that status, an institution's stratum to the country's. How much
institutions differ is measured (by moments); so is how much school years differ, but it is never taken for
less than `_YEARS_DIFFER`, since three years tell little of it. An institution's own outcomes count only where
both could be shown (`docs/disclosure.md`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from math import ceil, sqrt
from typing import TYPE_CHECKING, NamedTuple

from app.domain.beta_binomial import correlation, interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.domain.cube import Cell

MOST_WEEKS = 52
YEARS = 3
_LEAST_LIVE = 100  # a year with fewer live registrations in the country is no history
_SHRINKING = 20.0  # registrations that the country's rate of a status counts for in one of its strata
_YEARS_DIFFER = (
    0.0025  # a chance of a half is 2.5 points higher or lower in another year (standard deviation)
)
_MOST_DIFFERENCE = 0.2

Stratum = tuple[int, str]


class Past(NamedTuple):
    """Live registrations of an institution in one stratum, and how many were enrolments on 1 October."""

    brin: str
    live_of_student: int
    status: str
    live: int
    enrolled: int


class Present(NamedTuple):
    """Live registrations of today in one stratum."""

    brin: str
    programme_code: str
    live_of_student: int
    status: str
    live: int


class Chance(NamedTuple):
    """The chance of an enrolment, and its variances: of the institution's, and of the year's."""

    mean: float
    of_institution: float
    of_year: float


def weeks_before(school_year: int, day: date) -> int:
    """Return the weeks from a day to 1 October of the school year, begun ones included: 0 to MOST_WEEKS."""
    return min(MOST_WEEKS, max(0, ceil((date(school_year, 10, 1) - day).days / 7)))


def years_told(years: Iterable[Sequence[Past]]) -> list[Sequence[Past]]:
    """Return the school years, newest first, that tell enough."""
    return [year for year in years if sum(past.live for past in year) >= _LEAST_LIVE][:YEARS]


class History:
    """The chances by stratum at one number of weeks before 1 October."""

    def __init__(self, years: Sequence[Sequence[Past]], threshold: int) -> None:
        self.years = len(years)
        self._threshold = threshold
        self._own: dict[str, dict[Stratum, tuple[int, int]]] = defaultdict(dict)
        strata: dict[Stratum, tuple[int, int]] = {}
        rates: dict[str, tuple[int, int]] = {}
        for past in (one for year in years for one in year):
            stratum = past.live_of_student, past.status
            for counted, key in ((self._own[past.brin], stratum), (strata, stratum)):
                counted[key] = _added(counted.get(key), past)
            rates[past.status] = _added(rates.get(past.status), past)
        self._rates = {status: (true + 1) / (live + 2) for status, (live, true) in rates.items()}
        self._strata = {
            stratum: (true + _SHRINKING * self._rates[stratum[1]]) / (live + _SHRINKING)
            for stratum, (live, true) in strata.items()
        }
        self._institutions_differ = correlation(
            (
                (live, true, self._strata[stratum])
                for own in self._own.values()
                for stratum, (live, true) in own.items()
            ),
            _YEARS_DIFFER,
            _MOST_DIFFERENCE,
        )
        self._years_differ = _YEARS_DIFFER
        if len(years) > 1:
            self._years_differ = correlation(
                ((past.live, past.enrolled, self._strata[past.live_of_student, past.status])
                 for year in map(_of_country, years) for past in year),
                _YEARS_DIFFER,
                _MOST_DIFFERENCE,
            )  # fmt: skip

    def chance(self, brin: str, live_of_student: int, status: str) -> Chance:
        """Return the chance of a live registration of an institution."""
        stratum = live_of_student, status
        mean = self._strata.get(stratum, self._rates.get(status, 0.5))
        live, true = self._own.get(brin, {}).get(stratum, (0, 0))
        if min(true, live - true) < self._threshold:
            live = true = 0
        weight = 1 / self._institutions_differ - 1
        mean = (true + weight * mean) / (live + weight)
        spread = mean * (1 - mean)
        return Chance(mean, spread / (live + weight + 1), spread * self._years_differ)


def _added(sofar: tuple[int, int] | None, past: Past) -> tuple[int, int]:
    live, enrolled = sofar or (0, 0)
    return live + past.live, enrolled + past.enrolled


def _of_country(year: Sequence[Past]) -> list[Past]:
    counted: dict[Stratum, tuple[int, int]] = {}
    for past in year:
        stratum = past.live_of_student, past.status
        counted[stratum] = _added(counted.get(stratum), past)
    return [Past("", *stratum, *counts) for stratum, counts in counted.items()]


@dataclass(slots=True)
class _Expected:
    """What is expected of a cell. How institutions differ is independent, how years differ is not."""

    mean: float = 0.0
    independent: float = 0.0
    of_institutions: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    of_year: float = 0.0

    def add(self, brin: str, live: int, chance: Chance) -> None:
        self.mean += live * chance.mean
        self.independent += live * (chance.mean * (1 - chance.mean) - chance.of_institution - chance.of_year)
        self.of_institutions[brin] += live * sqrt(chance.of_institution)
        self.of_year += live * sqrt(chance.of_year)

    @property
    def variance(self) -> float:
        shared = sum(deviation**2 for deviation in self.of_institutions.values())
        return max(self.independent, 0.0) + shared + self.of_year**2


class ByHistory:
    """Expected enrolments of each cell of a school year."""

    def __init__(self, present: Iterable[Present], history: History) -> None:
        self._years = history.years
        self._cells: dict[tuple[str, str], _Expected] = defaultdict(_Expected)
        for one in present:
            chance = history.chance(one.brin, one.live_of_student, one.status)
            for brin in ("", one.brin):
                for programme_code in ("", one.programme_code):
                    self._cells[brin, programme_code].add(one.brin, one.live, chance)

    def __call__(self, brin: str, category: str, cell: Cell) -> tuple[float, float, float, float]:
        """Return value, low and high of a cell ('' for all), and the school years that they build on."""
        expected = self._cells.get((brin, category), _Expected())
        low, high = interval(cell.live, expected.mean, expected.variance)
        return expected.mean, low, high, float(self._years)
