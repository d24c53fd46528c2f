"""Tables that count students: by number of live registrations, by other institution, and those followed.

They follow the block of multiple live registrations: they are made when it is, and stand still when it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.cube import MOST_LIVE, Cell, Dimension
from app.domain.disclosure.measures import Share, Shares, Table
from app.domain.disclosure.moving import Block, is_safe
from app.domain.disclosure.patterns import TOTAL
from app.domain.disclosure.suppression import Pattern, View, protect

if TYPE_CHECKING:
    from app.domain.disclosure.year import YearOfCells

_ONE = "1"


def spread(year: YearOfCells, brin: str, lives: Block, old: Block | None, threshold: int) -> Block:
    """Return students by number of live registrations, of one moment with `lives`.

    Students with one are what `live` has beside `multipleLive`, so they are shown with it. The others' sum is
    known with them, and is protected like the parts of any table.
    """
    # Numbers that do not occur are there too: which ones do would tell as much.
    nobody = {str(number): Cell(brin, str(number)) for number in range(1, MOST_LIVE + 1)}
    cells = nobody | year.of(Dimension.LIVE_OF_STUDENT, brin)
    everybody = sum(cell.students for cell in cells.values())
    parts = {name: _share(cell, everybody) for name, cell in cells.items()}
    unknown = sum(share.unknown for share in parts.values())
    own = [year.of(Dimension.LIVE_OF_STUDENT, one) for one in year.brins] if not brin else []
    several = len(own) > 1

    def may_show(name: str, share: Share) -> bool:
        left = share.unknown, unknown - share.unknown
        if min(left) < threshold or (
            old is not None
            and name in old.shown
            and not is_safe([_alone(old.parts[name])], [_alone(share)], threshold)
        ):
            return False
        return not several or all(share.part - one[name].students >= threshold for one in own if name in one)

    primary = {name for name, share in parts.items() if not may_show(name, share)}
    if not lives.shows_total or _ONE in primary:
        primary = set(parts)
    readers = [View({name: share.unknown for name, share in parts.items()})]
    if several:
        readers += [
            View(
                {
                    name: share.part - (one[name].students if name in one else 0)
                    for name, share in parts.items()
                }
            )
            for one in own
        ]
    order = sorted((name for name in parts if name != _ONE), key=lambda name: parts[name].part)
    small = {name for name in primary if parts[name].part < threshold}
    pattern = (
        protect(primary, small, order, readers, threshold)
        if lives.shows_total and primary != set(parts)
        else Pattern(frozenset(primary), frozenset(small))
    )
    if not lives.shows_total:
        pattern = Pattern(frozenset(parts), frozenset())
    if old is not None and not _residue_is_safe(old, parts, pattern, threshold):
        pattern = Pattern(
            frozenset(parts) - {_ONE} if lives.shows_total else frozenset(parts), pattern.labelled
        )
    return Block(lives.as_of, Share(everybody, everybody), parts, pattern)


def overlap(year: YearOfCells, brin: str, lives: Block, old: Block | None, threshold: int) -> Block:
    """Return how many of an institution's live students are live elsewhere too, by other institution.

    Shown where both institutions have others besides. Those that are not shown are not named. A student
    counts at each other institution, so what is known of the sum is a lower bound: enough stay hidden to
    carry it.
    """
    living = {
        one: sum(cell.students for cell in year.of(Dimension.LIVE_OF_STUDENT, one).values())
        for one in year.brins
    }
    parts = {
        name: Share(living[brin], cell.students) for name, cell in year.of(Dimension.OVERLAP, brin).items()
    }

    def may_show(name: str, share: Share) -> bool:
        if min(share.part, share.rest, living.get(name, 0) - share.part) < threshold:
            return False
        return (
            old is None
            or name not in old.shown
            or is_safe([_alone(old.parts[name])], [_alone(share)], threshold)
        )

    shown = {name for name, share in parts.items() if may_show(name, share)} if lives.shows_total else set()
    others = len(year.brins) - 1
    while shown:
        left = lives.total.unknown - sum(parts[name].part for name in shown)
        if left <= max(others - len(shown) - 1, 0) * (threshold - 1):
            break
        shown.remove(min(shown, key=lambda name: (parts[name].part, name)))
    hidden = frozenset(parts) - shown
    return Block(lives.as_of, Share(living.get(brin, 0), 0), parts, Pattern(hidden, frozenset()))


def coverage(cells: dict[str, Cell], region: str) -> Table:
    """Return a region's students: the base is all, the part is those that a transfer system follows."""
    count = {
        kind: cells[f"{kind} {region}"].students if f"{kind} {region}" in cells else 0 for kind in _KINDS
    }
    total = Share(sum(count.values()), count["FOLLOWED"])
    return Table(total, {})


_KINDS = ("FOLLOWED", "NOT_FOLLOWED")


def _share(cell: Cell, everybody: int) -> Share:
    return Share(everybody, cell.students, cell.own_multiple_live)


def _alone(share: Share) -> Share:
    """Return a share whose complement is itself: the change of the count alone is judged."""
    return Share(2 * share.part, share.part, 0)


def _residue_is_safe(old: Block, parts: Shares, pattern: Pattern, threshold: int) -> bool:
    both = old.shown - pattern.hidden
    before = [_alone(share) for name, share in old.parts.items() if name not in both]
    after = [_alone(share) for name, share in parts.items() if name not in both]
    return TOTAL in pattern.hidden or is_safe(before, after, threshold)
