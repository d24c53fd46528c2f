"""How far live registrations are, by institution and programme: what an institution knows of its own.

The whole country's are nobody's own. There a mix of statuses is taken as it is only where no institution,
without its own registrations, finds a status that few others have.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from app.domain.codes import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Mix = dict[str, float]
COUNTRY = ALL = ""


class Present(NamedTuple):
    """Live registrations of today with one status."""

    brin: str
    programme_code: str
    status: str
    live: int


class StatusMixes:
    """The live registrations of a school year by status; '' stands for the country and for all programmes."""

    def __init__(self, present: Iterable[Present], threshold: int) -> None:
        self._threshold = threshold
        self._mixes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._brins: dict[str, set[str]] = defaultdict(set)
        for one in present:
            for programme_code in (ALL, one.programme_code):
                self._brins[programme_code].add(one.brin)
                for brin in (COUNTRY, one.brin):
                    self._mixes[brin, programme_code][one.status] += one.live

    def of(self, brin: str, programme_code: str, live: int) -> Mix:
        """Return how many of so many live registrations have each status."""
        mix: Mapping[str, int] = self._mixes.get((brin, programme_code), {})
        if brin == COUNTRY and not self._may_be_used(programme_code):
            mix = self._mixes[COUNTRY, ALL] if self._may_be_used(ALL) else {}
        known = sum(mix.values())
        if not known:
            return {Status.RECEIVED.value: float(live)}
        return {status: live * count / known for status, count in sorted(mix.items())}

    def institutions(self, brin: str, programme_code: str) -> int:
        """Return how many institutions such registrations are at, leaving out those with very few."""
        if brin != COUNTRY:
            return 1
        mixes = (self._mixes[one, programme_code] for one in self._brins[programme_code])
        return sum(1 for mix in mixes if mix.total() >= self._threshold)

    def _may_be_used(self, programme_code: str) -> bool:
        if len(self._brins[ALL]) == 1:
            return True  # it is the country
        owns = [Counter[str](), *(self._mixes[brin, programme_code] for brin in self._brins[programme_code])]
        everybody = self._mixes[COUNTRY, programme_code]
        left = (count - own[status] for status, count in everybody.items() for own in owns)
        return all(count == 0 or count >= self._threshold for count in left)
