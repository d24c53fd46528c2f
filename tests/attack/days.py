"""Two days subtracted from each other: does a difference tell of fewer people than the threshold?

Whoever has both days knows the change of each figure that both show, of the totals, and so of the sum of all
parts that either day hides. An institution takes its own registrations out of each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.disclosure.publishing import TableName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.domain.disclosure.measures import Share
    from app.domain.disclosure.moving import Block
    from app.domain.disclosure.publishing import Published

_SUBTRACTED = (TableName.MULTIPLE, TableName.MULTIPLE_LIVE)


def findings(before: Iterable[Published], after: Iterable[Published], threshold: int) -> list[str]:
    """Return each difference between two days that is a small figure."""
    then = {(table.name, table.of): table.block for table in before}
    found = []
    for table in after:
        old, new = then.get((table.name, table.of)), table.block
        if table.name not in _SUBTRACTED or old is None or new is None:
            continue
        for what, step in _steps(old, new):
            if step != (0, 0) and min(map(abs, step)) < threshold:
                found.append(
                    f"{table.name} of {table.of or 'the country'}, {what}: {step[0]:+d} and {step[1]:+d}"
                )
    return found


def _steps(old: Block, new: Block) -> list[tuple[str, tuple[int, int]]]:
    if not (old.shows_total and new.shows_total):
        return []
    both = old.shown & new.shown
    steps = [(name or "all", _step([old.parts[name]], [new.parts[name]])) for name in both]
    steps.append(("all", _step([old.total], [new.total])))
    left = [[share for name, share in block.parts.items() if name not in both] for block in (old, new)]
    if both and any(left):
        steps.append(("what is hidden", _step(left[0], left[1])))
    return steps


def _step(old: list[Share], new: list[Share]) -> tuple[int, int]:
    return (
        sum(share.unknown for share in new) - sum(share.unknown for share in old),
        sum(share.rest for share in new) - sum(share.rest for share in old),
    )
