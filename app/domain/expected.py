"""How many live registrations are expected to become enrolments, from what may be known of them.

An estimate is made from counts that are shown beside it (live registrations, and how many of them belong to
students with several), from statuses, which an institution knows of its own registrations, and from chances.
Which of its applicants have others elsewhere it is never told, and an estimate must not tell it either: so
multiple registrations are spread over the statuses as is usual, not as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.domain.beta_binomial import interval
from app.domain.status_mix import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.domain.status_mix import Mix, StatusMixes

Estimate = tuple[float, float, float, float]
STATUS_WEIGHT = {"RECEIVED": 1, "OFFERED": 2, "ENROLLED": 4}
_EVEN = 0.5
_STEPS = 50
_MOST_ODDS = 30.0  # as a logarithm


class Shown(NamedTuple):
    """Counts of a cell that may be read: live registrations, and how many of them are multiple."""

    live: int
    several: int


class Chance(NamedTuple):
    """The chance of an enrolment, and its variances: of the institution's, and of the year's."""

    mean: float
    of_institution: float = 0.0
    of_year: float = 0.0


Pair = tuple[Chance, Chance]  # of a student's only live registration, and of one of several


class Chances(Protocol):
    """What live registrations are worth; `years` is the number of school years behind it."""

    @property
    def years(self) -> int:
        """Return how many earlier school years the chances come from."""

    def usually_several(self, status: str) -> float:
        """Return which part of the registrations with a status is usually multiple."""

    def of(self, brin: str, mix: Mix, several: Mapping[str, float], each: float) -> Mapping[str, Pair]:
        """Return the chances of the statuses in a mix, for an institution ('': the country).

        `several`: which part of the institution's registrations is multiple, by status, where known.
        `each`: what a multiple registration stands for on average, if every student enrols once.
        """


def several_of(mix: Mix, several: float, usually: Mapping[str, float]) -> dict[str, float]:
    """Return which part of each status is taken to be multiple, so that `several` are in all.

    The odds of each status are those of what is usual, times one factor for all.
    """
    live = sum(mix.values())
    if not 0 < several < live:
        return {status: float(several > 0) for status in mix}
    usual = {status: _logit(share) for status, share in usually.items()}
    low, high = -2 * _MOST_ODDS, 2 * _MOST_ODDS
    for _ in range(_STEPS):
        factor = (low + high) / 2
        if sum(count * _logistic(usual[status] + factor) for status, count in mix.items()) < several:
            low = factor
        else:
            high = factor
    return {status: _logistic(odds + high) for status, odds in usual.items()}


def _logit(share: float) -> float:
    return min(_MOST_ODDS, max(-_MOST_ODDS, log(share / (1 - share)))) if 0 < share < 1 else 0.0


def _logistic(odds: float) -> float:
    return 1 / (1 + exp(-odds))


class ByRule:
    """Chances without history: every student enrols once, and several registrations share that by weight.

    What they share it with is taken to be as far as the institution's own registrations are on average.
    """

    years = 0

    def usually_several(self, status: str) -> float:  # noqa: ARG002 - the same for each
        """Return a half."""
        return _EVEN

    def of(self, brin: str, mix: Mix, several: Mapping[str, float], each: float) -> Mapping[str, Pair]:  # noqa: ARG002 - the same for all institutions
        """Return one for an only registration, and about `each` for one of several."""
        usual = sum(STATUS_WEIGHT[status] * count for status, count in mix.items()) / sum(mix.values())
        others = (1 / each - 1) * usual
        return {
            status: (Chance(1.0), Chance(STATUS_WEIGHT[status] / (STATUS_WEIGHT[status] + others)))
            for status in mix
        }


@dataclass(slots=True)
class _Sum:
    """What is expected of a cell; what an institution or a year differs by is the same for all in it."""

    mean: float = 0.0
    independent: float = 0.0
    of_institution: float = 0.0
    of_year: float = 0.0

    def add(self, live: float, chance: Chance) -> None:
        self.mean += live * chance.mean
        self.independent += live * (chance.mean * (1 - chance.mean) - chance.of_institution - chance.of_year)
        self.of_institution += live * sqrt(chance.of_institution)
        self.of_year += live * sqrt(chance.of_year)

    def variance(self, institutions: int) -> float:
        """Return the variance of what so many institutions have about alike."""
        return max(self.independent, 0.0) + self.of_institution**2 / max(1, institutions) + self.of_year**2


@dataclass(frozen=True, slots=True)
class Estimates:
    """Expected enrolments of the shown cells of an institution ('': the country), by programme."""

    mixes: StatusMixes
    chances: Chances

    def __call__(self, brin: str, shown: Mapping[str, Shown], each: float) -> dict[str, Estimate]:
        """Return value, low and high of each cell ('': all), and the school years that they build on."""
        several: Mapping[str, float] = {}
        if ALL in shown and shown[ALL].live:
            several = self._several(self.mixes.of(brin, ALL, shown[ALL].live), shown[ALL])
        return {category: self._of(brin, category, cell, several, each) for category, cell in shown.items()}

    def _several(self, mix: Mix, cell: Shown) -> dict[str, float]:
        return several_of(mix, cell.several, {status: self.chances.usually_several(status) for status in mix})

    def _of(
        self, brin: str, category: str, cell: Shown, of_all: Mapping[str, float], each: float
    ) -> Estimate:
        if not cell.live:
            return 0.0, 0.0, 0.0, float(self.chances.years)
        mix = self.mixes.of(brin, category, cell.live)
        several = self._several(mix, cell)
        expected = _Sum()
        for status, (alone, beside) in self.chances.of(brin, mix, of_all, each).items():
            expected.add(mix[status] * (1 - several[status]), alone)
            expected.add(mix[status] * several[status], beside)
        variance = expected.variance(self.mixes.institutions(brin, category))
        return expected.mean, *interval(cell.live, expected.mean, variance), float(self.chances.years)
