"""Complementary suppression in a table: a total and its parts.

Who sees the total and some parts knows the sum of the others. `protect` hides so many that this sum is no
small figure itself, and that each hidden part keeps a range of possible values. The range is that of
interval arithmetic on one sum, which is exact for one equation; the tables share nothing but totals that
are shown. Several readers look at the same table, each with knowledge of its own (a `View`); all must be
left in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

_BOUNDLESS = 10**12


def doubt(threshold: int) -> int:
    """Return how wide the range of a hidden count is at least: 2 (three values) at a threshold of 5."""
    return max(threshold // 2, 1)


@dataclass(frozen=True, slots=True)
class View:
    """What one reader does not know of each part, and within which bounds it does not know it.

    `amounts`: the unknown share of each part; a part that is missing is known to this reader. `known`: what
    the reader knows of each part beside that. `high`: the most that the unknown share can be (at-risk
    registrations). `ranges`: whether each hidden part must keep a range; otherwise only the sum of all
    counts. `zero_tells`: whether a sum of nothing tells something too.
    """

    amounts: Mapping[str, int]
    low: int = 0
    known: Mapping[str, int] = field(default_factory=dict)
    high: Mapping[str, int] = field(default_factory=dict)
    ranges: bool = True
    zero_tells: bool = True

    def is_left_in_doubt(self, hidden: AbstractSet[str], labelled: AbstractSet[str], threshold: int) -> bool:
        """Tell whether hiding these parts protects them; labelled ones are said to be below the threshold."""
        unknown = [part for part in hidden if part in self.amounts]
        if not unknown:
            return True
        total = sum(self.amounts[part] for part in unknown)
        if total < threshold and (total or self.zero_tells):
            return False
        return not self.ranges or self._ranges_hold(unknown, total, labelled, threshold)

    def _ranges_hold(
        self, unknown: Sequence[str], total: int, labelled: AbstractSet[str], threshold: int
    ) -> bool:
        natural = {part: self.high.get(part, _BOUNDLESS) for part in unknown}
        high = {
            part: min(natural[part], threshold - 1 - self.known.get(part, 0))
            if part in labelled
            else natural[part]
            for part in unknown
        }
        room, wanted, low = sum(high.values()) - total, doubt(threshold), self.low
        highest = total - low * (len(unknown) - 1)
        return all(
            min(high[part], highest) - max(low, high[part] - room) >= min(wanted, natural[part] - low)
            for part in unknown
        )


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which parts are hidden, and which of them are said to be below the threshold.

    `listed` is False where the parts may not even be named.
    """

    hidden: frozenset[str]
    labelled: frozenset[str]
    listed: bool = True


def _bites(order: list[str]) -> Iterator[list[str]]:
    """Yield the candidates one by one at first, then more at a time: a large table is soon at its end."""
    start = 0
    while start < len(order):
        size = max(1, start // 4)
        yield order[start : start + size]
        start += size


def protect(
    primary: AbstractSet[str],
    small: AbstractSet[str],
    candidates: Iterable[str],
    views: Sequence[View],
    threshold: int,
) -> Pattern:
    """Hide the primary parts of a table whose total is shown, and as many candidates as it takes, in order.

    `small` are the primary parts that are below the threshold. Where hiding all does not help, the labels go;
    where that does not help, the names.
    """
    hidden, labelled = set(primary), frozenset(small)
    if not hidden:
        return Pattern(frozenset(), frozenset())
    order = [part for part in candidates if part not in hidden]
    for labels in (labelled, frozenset[str]()):
        for some in ([], *_bites(order)):
            hidden.update(some)
            if all(view.is_left_in_doubt(hidden, labels, threshold) for view in views):
                return Pattern(frozenset(hidden), labels)
        order = []
    return Pattern(frozenset(hidden), frozenset(), listed=False)
