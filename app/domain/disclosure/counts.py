"""Tables that move daily: what an institution knows of itself, and how many there are in the country."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.domain.codes import LIVE
from app.domain.cube import Dimension
from app.domain.disclosure.measures import Share, Table
from app.domain.disclosure.patterns import TOTAL, of_counts, of_institutions, of_live
from app.domain.disclosure.suppression import Pattern
from app.domain.disclosure.year import YearOfCells, live, registrations

if TYPE_CHECKING:
    from collections.abc import Mapping

HIDDEN = "–"
Shown = tuple[int | None, str]

COUNTED = (
    Dimension.PROGRAMME,
    Dimension.LEARNING_PATH,
    Dimension.PROGRAMME_YEAR,
    Dimension.WEEK,
    Dimension.STATUS,
    Dimension.REGION,
)
_ONLY_REGISTRATIONS = {Dimension.WEEK, Dimension.STATUS}


@dataclass(frozen=True, slots=True)
class Counts:
    """What is shown: by category ('' is the total) and measure a value, if any, and its display."""

    rows: Mapping[str, dict[str, Shown]]


def said(value: int, name: str, pattern: Pattern, threshold: int) -> Shown:
    """Return what is shown of one figure under a pattern."""
    if name not in pattern.hidden:
        return value, str(value)
    return None, f"<{threshold}" if name in pattern.labelled else HIDDEN


def counts(year: YearOfCells, dimension: Dimension, brin: str, threshold: int) -> Counts:
    """Return a table of an institution ('': the country)."""
    made = year.table(dimension, brin, registrations)
    if dimension is Dimension.STATUS:
        pattern = _of_statuses(year, brin, made, threshold)
    else:
        pattern = of_counts(made, threshold)
    measures = {"registrations": (made, pattern)}
    if dimension not in _ONLY_REGISTRATIONS:
        lives = year.table(dimension, brin, live)
        measures["live"] = (lives, of_live(lives, pattern, threshold))
    rows = _rows(measures, threshold)
    if dimension is Dimension.PROGRAMME and brin:
        for category, figures in rows.items():
            cell = year.total(brin) if category == TOTAL else year.of(dimension, brin)[category]
            figures["students"] = _students(cell.students, figures["registrations"], threshold)
    return Counts(rows)


def by_institution(
    year: YearOfCells, blocks: Mapping[str, tuple[Table, frozenset[str]]], threshold: int
) -> Counts:
    """Return the totals of all institutions beside each other, for those who may see them all.

    `blocks` gives, for the figures that move by themselves, each institution's total, and which of them the
    institution itself does not see.
    """
    totals = {brin: year.total(brin) for brin in year.brins}
    made = Table(registrations(year.total("")), {brin: registrations(cell) for brin, cell in totals.items()})
    lives = Table(live(year.total("")), {brin: live(cell) for brin, cell in totals.items()})
    pattern = of_institutions(made, frozenset(), threshold)
    unseen = pattern.hidden | {
        brin for brin, cell in lives.parts.items() if cell.part < threshold or 0 < cell.rest < threshold
    }
    measures = {
        "registrations": (made, pattern),
        "live": (lives, replace(of_institutions(lives, unseen, threshold), listed=pattern.listed)),
        # Names stand with the registrations, so of these no name tells anything.
        **{
            name: (table, replace(of_institutions(table, gone, threshold), listed=pattern.listed))
            for name, (table, gone) in blocks.items()
        },
    }
    rows = _rows(measures, threshold)
    for brin, figures in rows.items():
        if brin in totals:
            figures["students"] = _students(totals[brin].students, figures["registrations"], threshold)
    return Counts(rows)


def _students(students: int, made: Shown, threshold: int) -> Shown:
    if made[0] is not None and students >= threshold:
        return students, str(students)
    return None, f"<{threshold}" if made[0] is None and made[1] != HIDDEN else HIDDEN


def _rows(measures: Mapping[str, tuple[Table, Pattern]], threshold: int) -> dict[str, dict[str, Shown]]:
    rows: dict[str, dict[str, Shown]] = {}
    for measure, (table, pattern) in measures.items():
        cells = {TOTAL: table.total, **(table.parts if pattern.listed else {})}
        for name, cell in cells.items():
            rows.setdefault(name, {})[measure] = said(cell.part, name, pattern, threshold)
    return {name: row for name, row in rows.items() if len(row) == len(measures)}


def _of_statuses(year: YearOfCells, brin: str, table: Table, threshold: int) -> Pattern:
    """Protect live statuses and the others each within their own sum, where `live` tells what that is."""
    lives = year.table(Dimension.TOTAL, brin, live)
    if TOTAL in of_live(lives, Pattern(frozenset(), frozenset()), threshold).hidden:
        return of_counts(table, threshold)
    of_total = of_counts(Table(table.total, {}, table.of_institutions), threshold)
    hidden, labelled = set(of_total.hidden), set(of_total.labelled)
    for wanted in (True, False):
        names = {name for name in table.parts if (name.rsplit(" ", 1)[-1] in LIVE) is wanted}
        pattern = of_counts(_subtable(table, names), threshold)
        hidden |= pattern.hidden - {TOTAL}
        labelled |= pattern.labelled - {TOTAL}
        if not pattern.listed:
            labelled -= names
    return Pattern(frozenset(hidden), frozenset(labelled))


def _subtable(table: Table, names: set[str]) -> Table:
    def some(shares: Mapping[str, Share]) -> dict[str, Share]:
        return {name: share for name, share in shares.items() if name in names}

    def summed(shares: Mapping[str, Share]) -> Share:
        total = sum(share.part for share in shares.values())
        return Share(total, total)

    own = {}
    for brin, shares in table.of_institutions.items():
        mine = some(shares)
        if mine:
            own[brin] = {TOTAL: summed(mine), **mine}
    parts = some(table.parts)
    return Table(summed(parts), parts, own)
