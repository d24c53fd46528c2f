"""What became of live registrations in earlier school years, and what that lets expect of those of today.

A stratum is a status, at so many weeks before 1 October, of a student's only live registration or of one of
several. Its chance of becoming the student's enrolment on that day has a Beta posterior: the country's
stratum is shrunk to the country's rate of that status. An institution's own outcomes by status, which it
knows itself, move its chances. How much institutions differ is measured (by moments); so is how much
school years differ, but it is never taken for less than `_YEARS_DIFFER`, since three years tell little of it.
Outcomes of the country count only where no institution finds few of others in them (`docs/disclosure.md`).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from app.domain.beta_binomial import correlation
from app.domain.expected import Chance, Pair
from app.domain.status_mix import COUNTRY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.domain.status_mix import Mix

MOST_WEEKS = 52
YEARS = 3
_LEAST_LIVE = 100  # a year with fewer live registrations in the country is no history
_SHRINKING_RATE = 2.0  # registrations that a half counts for in the rate of a status
_SHRINKING = 20.0  # registrations that the country's rate of a status counts for in one of its strata
_YEARS_DIFFER = (
    0.0025  # a chance of a half is 2.5 points higher or lower in another year (standard deviation)
)
_MOST_DIFFERENCE = 0.2
_EVEN = 0.5

Stratum = tuple[str, bool]  # the status, and whether the student has several live registrations
_Key = TypeVar("_Key")
Counts = tuple[int, int]  # live registrations, and how many of them were enrolments on 1 October


class Past(NamedTuple):
    """Live registrations of an institution in one stratum, and what they were on 1 October.

    `enrolled`: the student's enrolment. `enrolled_here`: enrolled, as the institution saw it; a few students
    are enrolled elsewhere as well, and later.
    """

    brin: str
    live_of_student: int
    status: str
    live: int
    enrolled: int
    enrolled_here: int

    @property
    def stratum(self) -> Stratum:
        """Return the stratum."""
        return self.status, self.live_of_student > 1


def weeks_before(school_year: int, day: date) -> int:
    """Return the weeks from a day to 1 October of the school year, begun ones included: 0 to MOST_WEEKS."""
    return min(MOST_WEEKS, max(0, ceil((date(school_year, 10, 1) - day).days / 7)))


def years_told(years: Iterable[Sequence[Past]]) -> list[Sequence[Past]]:
    """Return the school years, newest first, that tell enough."""
    return [year for year in years if sum(past.live for past in year) >= _LEAST_LIVE][:YEARS]


class History:
    """The chances of one number of weeks before 1 October, from earlier school years (`Chances`)."""

    def __init__(self, years: Sequence[Sequence[Past]], threshold: int) -> None:
        self.years = len(years)
        self._threshold = threshold
        pasts = [past for year in years for past in year]
        self._alone = len({past.brin for past in pasts}) == 1
        strata = _counted((past.stratum, past) for past in pasts)
        of_statuses = _counted((past.status, past) for past in pasts)
        self._own = _counted((past.status, past._replace(enrolled=past.enrolled_here)) for past in pasts)
        self._rates = {
            status: _shrunk(self._told(owns), _EVEN, _SHRINKING_RATE) for status, owns in of_statuses.items()
        }
        self._strata = {
            stratum: _shrunk(self._told(owns), self._rates[stratum[0]], _SHRINKING)
            for stratum, owns in strata.items()
        }
        self._several = {status: self._share_of_several(status, strata) for status in self._rates}
        self._institutions_differ = self._correlation(strata)
        by_year = _counted(
            (past.stratum, past._replace(brin=f"{number}"))
            for number, year in enumerate(years)
            for past in year
        )
        self._years_differ = self._correlation(by_year) if len(years) > 1 else _YEARS_DIFFER

    def usually_several(self, status: str) -> float:
        """Return which part of the country's registrations with a status was multiple."""
        return self._several.get(status, _EVEN)

    def of(self, brin: str, mix: Mix, several: Mapping[str, float], each: float) -> Mapping[str, Pair]:  # noqa: ARG002 - history knows better
        """Return the chances of the statuses in a mix, for an institution ('': the country)."""
        return {
            status: self._of(brin, status, several.get(status, self.usually_several(status)))
            for status in mix
        }

    def _of(self, brin: str, status: str, several: float) -> Pair:
        rate = self._rates.get(status, _EVEN)
        alone, beside = (self._strata.get((status, one), rate) for one in (False, True))
        live, enrolled = self._own.get(status, {}).get(brin, (0, 0)) if brin != COUNTRY else (0, 0)
        weight = 1 / self._institutions_differ - 1
        usual = (1 - several) * alone + several * beside
        more = (enrolled - live * usual) / (live + weight)

        def chance(country: float) -> Chance:
            mean = min(max(country + more, 0.0), 1.0)
            spread = mean * (1 - mean)
            return Chance(mean, spread / (live + weight + 1), spread * self._years_differ)

        return chance(alone), chance(beside)

    def _told(self, owns: Mapping[str, Counts]) -> Counts:
        """Return the country's counts, or none where few are in them but for one institution's."""
        live, enrolled = (sum(counts) for counts in zip(*owns.values(), strict=True))
        left = [(live, enrolled)]
        if not self._alone:
            left += [(live - mine, enrolled - true) for mine, true in owns.values()]
        enough = all(min(true, some - true) >= self._threshold for some, true in left)
        return (live, enrolled) if enough else (0, 0)

    def _share_of_several(self, status: str, strata: Mapping[Stratum, Mapping[str, Counts]]) -> float:
        lives: dict[str, Counts] = {}
        for of_several in (False, True):
            for brin, (live, _) in strata.get((status, of_several), {}).items():
                all_, some = lives.get(brin, (0, 0))
                lives[brin] = all_ + live, some + live * of_several
        return _shrunk(self._told(lives), _EVEN, _SHRINKING_RATE)

    def _correlation(self, strata: Mapping[Stratum, Mapping[str, Counts]]) -> float:
        groups = (
            (live, enrolled, self._strata[stratum])
            for stratum, owns in strata.items()
            for live, enrolled in owns.values()
        )
        return correlation(groups, _YEARS_DIFFER, _MOST_DIFFERENCE)


def _counted(pasts: Iterable[tuple[_Key, Past]]) -> dict[_Key, dict[str, Counts]]:
    """Return the counts by key and institution."""
    found: dict[_Key, dict[str, Counts]] = defaultdict(dict)
    for key, past in pasts:
        live, enrolled = found[key].get(past.brin, (0, 0))
        found[key][past.brin] = live + past.live, enrolled + past.enrolled
    return found


def _shrunk(counts: Counts, mean: float, weight: float) -> float:
    live, enrolled = counts
    return (enrolled + weight * mean) / (live + weight)
