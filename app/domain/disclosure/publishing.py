"""From the true cells of a school year to the tables that may be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from app.domain.cube import Dimension
from app.domain.disclosure import year as measures
from app.domain.disclosure.counts import COUNTED, Counts, by_institution, counts
from app.domain.disclosure.measures import Table
from app.domain.disclosure.moving import Block, moved
from app.domain.disclosure.patterns import TOTAL
from app.domain.disclosure.students import coverage, overlap, spread
from app.domain.expected import Shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from app.domain.cube import Cell
    from app.domain.disclosure.measures import Share
    from app.domain.disclosure.year import YearOfCells


class TableName(StrEnum):
    """The tables that are published, each for an institution, for the country (''), or for a region."""

    PROGRAMME = "PROGRAMME"
    LEARNING_PATH = "LEARNING_PATH"
    PROGRAMME_YEAR = "PROGRAMME_YEAR"
    WEEK = "WEEK"
    STATUS = "STATUS"
    REGION = "REGION"
    INSTITUTION = "INSTITUTION"
    MULTIPLE = "MULTIPLE"
    MULTIPLE_LIVE = "MULTIPLE_LIVE"
    LIVE_OF_STUDENT = "LIVE_OF_STUDENT"
    OVERLAP = "OVERLAP"
    COVERAGE = "COVERAGE"
    SILENCE = "SILENCE"


@dataclass(frozen=True, slots=True)
class Published:
    """A table as it is kept: `counts` for what moves daily, `block` for what moves when that is safe.

    `of` is a BRIN, '' for the country, or the code of a region.
    """

    name: TableName
    of: str
    as_of: datetime
    counts: Counts | None = None
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class Before:
    """The blocks that are in force."""

    blocks: Mapping[tuple[TableName, str], Block] = field(default_factory=dict)

    def get(self, name: TableName, of: str) -> Block | None:
        """Return a block."""
        return self.blocks.get((name, of))


# For the shown cells of an institution's table by programme ('': the country's), of live and multiple live
# registrations, and what one of the latter stands for: value, low, high, and the school years behind them.
Estimating = Callable[[str, "Mapping[str, Shown]", float], "Mapping[str, tuple[float, ...]]"]
_HALF = 0.5


def publish(
    year: YearOfCells,
    before: Before,
    now: datetime,
    threshold: int,
    estimate: Estimating,
    silent: Mapping[str, Collection[str]],
) -> Iterator[Published]:
    """Yield every table of a school year; `silent` are the institutions that were, by region."""
    totals: dict[TableName, dict[str, Block]] = {TableName.MULTIPLE: {}, TableName.MULTIPLE_LIVE: {}}
    each = _HALF
    for brin in ("", *year.brins):
        for dimension in COUNTED:
            made = counts(year, dimension, brin, threshold)
            yield Published(TableName(dimension.value), brin, now, counts=made)
        of_students = _of_students(year, before, brin, now, threshold)
        if not brin:
            each = _each(
                of_students[TableName.MULTIPLE_LIVE], of_students[TableName.LIVE_OF_STUDENT], threshold
            )
        lives = of_students[TableName.MULTIPLE_LIVE]
        if lives.as_of == now or not lives.beside:
            of_students[TableName.MULTIPLE_LIVE] = replace(lives, beside=estimate(brin, _shown(lives), each))
        for name, block in of_students.items():
            if brin and name in totals:
                totals[name][brin] = block
            yield Published(name, brin, block.as_of, block=block)
    blocks = {
        name.value.lower(): (
            Table(next(iter(found.values())).total, {brin: block.total for brin, block in found.items()}),
            frozenset(brin for brin, block in found.items() if not block.shows_total),
        )
        for name, found in totals.items()
        if found
    }
    yield Published(TableName.INSTITUTION, "", now, counts=by_institution(year, blocks, threshold))
    cells = year.of(Dimension.COVERAGE, "")
    for region in sorted({name.split(" ", 1)[1] for name in cells}):
        block = moved(before.get(TableName.COVERAGE, region), coverage(cells, region), now, threshold)
        yield Published(TableName.COVERAGE, region, block.as_of, block=block)
    for region, brins in silent.items():
        yield Published(TableName.SILENCE, region, now, counts=Counts({brin: {} for brin in brins}))


def _of_students(
    year: YearOfCells, before: Before, brin: str, now: datetime, threshold: int
) -> dict[TableName, Block]:
    """Return the blocks of an institution that are in force from now on, without estimates."""

    def now_or_still(name: TableName, measure: Callable[[Cell], Share]) -> Block:
        return moved(before.get(name, brin), year.table(Dimension.PROGRAMME, brin, measure), now, threshold)

    several = now_or_still(TableName.MULTIPLE, measures.multiple)
    if several.as_of == now:
        cells = {TOTAL: year.total(brin), **year.of(Dimension.PROGRAMME, brin)}
        students = {category: (float(cell.students),) for category, cell in cells.items()}
        several = replace(several, beside=students)
    lives = now_or_still(TableName.MULTIPLE_LIVE, measures.multiple_live)
    blocks = {TableName.MULTIPLE: several, TableName.MULTIPLE_LIVE: lives}
    for name, made in ((TableName.LIVE_OF_STUDENT, spread), (TableName.OVERLAP, overlap)):
        if name is TableName.OVERLAP and not brin:
            continue
        block = before.get(name, brin)
        if block is None or block.as_of != lives.as_of:
            block = made(year, brin, lives, block, threshold)
        blocks[name] = block
    return blocks


def _shown(lives: Block) -> dict[str, Shown]:
    """Return the cells that are shown: nothing is estimated from others."""
    cells = {TOTAL: lives.total} if lives.shows_total else {}
    cells |= {name: share for name, share in lives.parts.items() if name in lives.shown}
    return {name: Shown(share.base, share.part) for name, share in cells.items()}


def _each(lives: Block, students: Block, threshold: int) -> float:
    """Return how many students there are to a multiple live registration of the country, if it may be told.

    Both blocks stand still together, and so does this.
    """
    one = students.parts["1"].part
    several = students.total.base - one
    if not lives.shows_total or min(one, several) < threshold:
        return _HALF
    return min(_HALF, several / lives.total.part)
