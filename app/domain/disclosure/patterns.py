"""Which figures of a table may be shown at one moment.

Three kinds of figures, each a count (`part`) of a base:

- **registrations**: shown from the threshold on. The base is the count itself.
- **live** of registrations: both the live ones and the others reach the threshold, or there are no others:
  that all are live tells nothing of anybody's other applications, and the institution knows it.
- **multiple** of registrations, and of live ones: what an institution does not know by itself must reach the
  threshold on both sides, nothing and everything included, since "none" and "all" tell on each of them.

National figures obey the same rules without any one institution's own share. Where there is only one
institution there are no others whose figures it could learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.disclosure.measures import Share, Table, views
from app.domain.disclosure.suppression import Pattern, View, doubt, protect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

TOTAL = ""


def of_counts(table: Table, threshold: int, prefer: AbstractSet[str] = frozenset()) -> Pattern:
    """Return the pattern of registrations; TOTAL is in it where the total may not be shown."""

    def may_show(name: str, cell: Share) -> bool:
        return cell.part >= threshold and all(
            table.leaves(name, own).part >= threshold for _, own in table.others if name in own
        )

    readers = [View({name: cell.part for name, cell in table.parts.items()}, low=1)]
    for _, own in table.others:
        readers.append(
            View(
                {name: table.leaves(name, own).part for name in table.parts},
                known={name: own[name].part for name in own if name in table.parts},
            )
        )
    return _pattern(table, may_show, readers, threshold, prefer)


def of_live(table: Table, base: Pattern, threshold: int, prefer: AbstractSet[str] = frozenset()) -> Pattern:
    """Return the pattern of live registrations, given that of all registrations."""

    def holds(cell: Share) -> bool:
        return cell.part >= threshold and not 0 < cell.rest < threshold

    def may_show(name: str, cell: Share) -> bool:
        return (
            name not in base.hidden
            and holds(cell)
            and all(holds(table.leaves(name, own)) for _, own in table.others if name in own)
        )

    readers = views(table, self_aware=False, zero_tells=False)
    pattern = _pattern(table, may_show, readers, threshold, prefer)
    return Pattern(pattern.hidden, pattern.labelled, pattern.listed and base.listed)


def of_multiple(table: Table, threshold: int, withheld: AbstractSet[str] = frozenset()) -> Pattern:
    """Return the pattern of multiple registrations; `withheld` parts are hidden for another reason."""
    only = table.only_institution()
    alone = Table(only[TOTAL], {name: only[name] for name in table.parts}) if only else table

    def holds(cell: Share) -> bool:
        return cell.unknown >= threshold and cell.rest >= threshold

    def may_show(name: str, cell: Share) -> bool:
        if name == TOTAL and not _total_leaves_parts(alone, holds, doubt(threshold)):
            return False
        if name in withheld or not holds(cell) or (only is not None and not holds(only[name])):
            return False
        return all(
            _leaves_others_hidden(cell, own[name], table.leaves(name, own), threshold)
            for _, own in table.others
            if name in own
        )

    readers = views(table, self_aware=False) + views(alone, self_aware=True)[2:3]
    return _pattern(table, may_show, readers, threshold)


def _total_leaves_parts(table: Table, holds: Callable[[Share], bool], doubt_at_least: int) -> bool:
    """Tell whether a total tells no more of a part than may be told, where next to nothing is in all others.

    Such a part has few values left even where it is hidden; each of them must be one that may be shown.
    """
    total = table.total
    return all(
        holds(Share(total.base - others, total.part - some, total.own))
        for cell in table.parts.values()
        if 0 < (others := total.at_risk - cell.at_risk) < doubt_at_least
        for some in (0, others)
    )


def _leaves_others_hidden(cell: Share, own: Share, left: Share, threshold: int) -> bool:
    """Tell whether an institution learns from a national figure neither others' small ones nor its own.

    What it does not know of its own lies between what must be its own, as there is too little elsewhere, and
    all that could be. That all registrations elsewhere are multiple says nothing of its own applicants.
    """
    least = max(cell.part - own.own - left.base, 0)
    most = min(own.at_risk, cell.part - own.own)
    return (
        left.part >= threshold
        and not 0 < left.rest < threshold
        and most - least >= min(doubt(threshold), own.at_risk)
    )


def _pattern(
    table: Table,
    may_show: Callable[[str, Share], bool],
    readers: Iterable[View],
    threshold: int,
    prefer: AbstractSet[str] = frozenset(),
) -> Pattern:
    primary = {name for name, cell in table.parts.items() if not may_show(name, cell)}
    small = {name for name in primary if _may_label(table, name, table.parts[name], threshold)}
    if not may_show(TOTAL, table.total):
        said = {TOTAL} if _may_label(table, TOTAL, table.total, threshold) else set()
        # Each name is one registration at least: of so few, too few would be left to guess.
        listed = len(table.of_institutions) <= 1 or table.total.part >= threshold
        return Pattern(frozenset(primary | {TOTAL}), frozenset(small | said), listed)
    order = sorted(table.parts.items(), key=lambda item: (item[0] not in prefer, item[1].base, item[0]))
    return protect(primary, small, [name for name, _ in order], list(readers), threshold)


def of_institutions(table: Table, unseen: AbstractSet[str], threshold: int) -> Pattern:
    """Return the pattern of a table that sets institutions beside each other; each knows its own figure."""
    primary = {name for name, cell in table.parts.items() if cell.part < threshold or name in unseen}
    small = {name for name in primary if table.parts[name].part < threshold}
    # A part is no more than its base; registrations, which are their own base, may be any number.
    high = {name: cell.base for name, cell in table.parts.items() if cell.base != cell.part}
    readers = [View({name: cell.part for name, cell in table.parts.items()}, high=high)]
    readers += [
        View({name: cell.part for name, cell in table.parts.items() if name != own}, high=high)
        for own in table.parts
    ]
    order = sorted(table.parts, key=lambda name: (table.parts[name].base, name))
    pattern = protect(primary, small, order, readers, threshold)
    listed = len(table.parts) <= 1 or table.total.base >= threshold
    return Pattern(pattern.hidden | {TOTAL}, pattern.labelled, listed and pattern.listed)


def _may_label(table: Table, name: str, cell: Share, threshold: int) -> bool:
    """Tell whether it may be said that a hidden count is below the threshold.

    Not to those who know so much of it that too little is left for the rest.
    """
    most = threshold - 1 - doubt(threshold)
    known = [own[name].part for _, own in table.others if name in own]
    only = table.only_institution()
    known.append(cell.own if only is None else only[name].own)
    return cell.part < threshold and max(known) <= most
