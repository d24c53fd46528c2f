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


# Of a cell of a table by programme: value, low, high, and the number of school years behind them.
Estimating = Callable[[str, str, "Cell"], tuple[float, float, float, float]]


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
    for brin in ("", *year.brins):
        for dimension in COUNTED:
            made = counts(year, dimension, brin, threshold)
            yield Published(TableName(dimension.value), brin, now, counts=made)
        for one in _of_students(year, before, brin, now, threshold, estimate):
            if brin and one.block is not None and one.name in totals:
                totals[one.name][brin] = one.block
            yield one
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
    year: YearOfCells,
    before: Before,
    brin: str,
    now: datetime,
    threshold: int,
    estimate: Estimating,
) -> Iterator[Published]:
    cells = {TOTAL: year.total(brin), **year.of(Dimension.PROGRAMME, brin)}

    def now_or_still(
        name: TableName, measure: Callable[[Cell], Share], beside: Callable[[str, Cell], tuple[float, ...]]
    ) -> Block:
        block = moved(before.get(name, brin), year.table(Dimension.PROGRAMME, brin, measure), now, threshold)
        if block.as_of != now:
            return block
        return replace(block, beside={category: beside(category, cell) for category, cell in cells.items()})

    several = now_or_still(TableName.MULTIPLE, measures.multiple, lambda _, cell: (float(cell.students),))
    lives = now_or_still(
        TableName.MULTIPLE_LIVE, measures.multiple_live, lambda category, cell: estimate(brin, category, cell)
    )
    yield Published(TableName.MULTIPLE, brin, several.as_of, block=several)
    yield Published(TableName.MULTIPLE_LIVE, brin, lives.as_of, block=lives)
    for name, made in ((TableName.LIVE_OF_STUDENT, spread), (TableName.OVERLAP, overlap)):
        if name is TableName.OVERLAP and not brin:
            continue
        block = before.get(name, brin)
        if block is None or block.as_of != lives.as_of:
            block = made(year, brin, lives, block, threshold)
        yield Published(name, brin, block.as_of, block=block)
