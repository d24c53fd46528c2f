"""When figures about other applications may follow the truth, so that two days cannot be subtracted.

An institution that got one applicant since yesterday would read from tomorrow's figure whether that one
applied elsewhere. So these figures stand still, all figures of a table at the same date, until so much has
changed that no difference between the old and the new ones is a small figure itself.

Who has the old and the new table can subtract each part that both show, the totals, and so the sum of all
parts that either of them hides; nothing finer. A difference is safe if nothing changed, or if the count and
what is not in it both changed by the threshold or more. Parts whose difference is not safe are hidden in
the new table, so they are in that sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from app.domain.disclosure.measures import Share
from app.domain.disclosure.patterns import TOTAL, of_multiple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from app.domain.disclosure.measures import Shares, Table
    from app.domain.disclosure.suppression import Pattern

_STEPS = ((timedelta(0), 1.0), (timedelta(days=28), 0.5), (timedelta(days=84), 0.0))


@dataclass(frozen=True, slots=True)
class Block:
    """The figures of a table as they were at one moment, and which of them are shown.

    `beside` holds what is shown along with a figure, by category: students, expected enrolments.
    """

    as_of: datetime
    total: Share
    parts: Shares
    pattern: Pattern
    beside: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def shown(self) -> frozenset[str]:
        """The parts that are shown, without the total."""
        return frozenset(self.parts) - self.pattern.hidden if self.pattern.listed else frozenset()

    @property
    def shows_total(self) -> bool:
        """Whether the total is shown."""
        return TOTAL not in self.pattern.hidden


def moved(old: Block | None, table: Table, now: datetime, threshold: int) -> Block:
    """Return the block that is in force from now on: the old one, or one of this moment's figures."""
    if old is None or old.total.base < threshold:
        return Block(now, table.total, table.parts, of_multiple(table, threshold))
    new = Block(now, table.total, table.parts, _pattern(old, table, threshold))
    return new if _may_follow(old, new, threshold) and _is_worth_it(old, new) else old


def _pattern(old: Block, table: Table, threshold: int) -> Pattern:
    unsafe = {
        name
        for name in old.shown & table.parts.keys()
        if not is_safe([old.parts[name]], [table.parts[name]], threshold)
    }
    return of_multiple(table, threshold, unsafe)


def _may_follow(old: Block, new: Block, threshold: int) -> bool:
    if not old.shows_total:
        # What was hidden is known within bounds only: new ones in number leave the old ones in doubt.
        return new.shows_total and (
            abs(new.total.at_risk - old.total.at_risk) >= threshold
            or is_safe([old.total], [new.total], threshold)
        )
    if not new.shows_total or new.total == old.total:
        return False
    both = old.shown & new.shown
    gone = [name for name in old.parts if name not in both]
    come = [name for name in new.parts if name not in both]
    return is_safe([old.total], [new.total], threshold) and is_safe(
        [old.parts[name] for name in gone], [new.parts[name] for name in come], threshold
    )


def _is_worth_it(old: Block, new: Block) -> bool:
    least = min(share for age, share in _STEPS if new.as_of - old.as_of >= age)
    return len(new.shown) >= least * len(old.shown)


def is_safe(old: Iterable[Share], new: Iterable[Share], threshold: int) -> bool:
    """Tell whether the difference between two sums is none, or no small figure on either side."""
    before, after = _sum(old), _sum(new)
    steps = (abs(after.unknown - before.unknown), abs(after.rest - before.rest))
    return steps == (0, 0) or min(steps) >= threshold


def _sum(shares: Iterable[Share]) -> Share:
    some = list(shares)
    return Share(sum(s.base for s in some), sum(s.part for s in some), sum(s.own for s in some))
