"""Takes figures out of published tables, each as it may be shown and with its own moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.disclosure.counts import HIDDEN
from app.domain.disclosure.patterns import TOTAL
from app.domain.disclosure.publishing import TableName
from app.domain.statistics import DisclosedCount, DisclosedEstimate, DisclosedFigures, Row, StudentsOf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from app.domain.disclosure.moving import Block
    from app.domain.disclosure.publishing import Published


class Reader:
    """Takes figures out of the published tables of a school year, as of a snapshot."""

    def __init__(
        self, tables: Mapping[tuple[TableName, str], Published], as_of: datetime, threshold: int
    ) -> None:
        self._tables = tables
        self._as_of = as_of
        self._threshold = threshold

    def rows(self, name: TableName, of: str) -> tuple[Row, ...]:
        """Return the rows of a table that moves daily, the total first."""
        counts = self._counts(name, of)
        return tuple(
            Row(
                category,
                self._count(figures["registrations"]),
                self._count(figures["live"]) if "live" in figures else None,
            )
            for category, figures in sorted(counts.items())
        ) or (Row(TOTAL, self._count(None), self._count(None)),)

    def figures(self, of: str) -> tuple[DisclosedFigures, ...]:
        """Return the figures of all programmes ('') and of each, of an institution or the country."""
        counts = self._counts(TableName.PROGRAMME, of) or {TOTAL: {}}
        several = self._block(TableName.MULTIPLE, of)
        lives = self._block(TableName.MULTIPLE_LIVE, of)
        return tuple(
            DisclosedFigures(
                category,
                self._count(figures.get("registrations")),
                self._count(figures.get("live")),
                self._of_block(several, category),
                self._of_block(lives, category),
                self._count(figures["students"])
                if "students" in figures
                else self._students(several, category),
                self._estimate(lives, category),
            )
            for category, figures in sorted(counts.items())
        )

    def figures_beside(self, brin: str) -> DisclosedFigures:
        """Return an institution's total as those may see it who see the others' too."""
        figures = self._counts(TableName.INSTITUTION, TOTAL).get(brin, {})
        several = self._block(TableName.MULTIPLE, brin)
        lives = self._block(TableName.MULTIPLE_LIVE, brin)
        shown = {
            name: name in figures and figures[name][0] is not None for name in ("multiple", "multiple_live")
        }
        return DisclosedFigures(
            TOTAL,
            self._count(figures.get("registrations")),
            self._count(figures.get("live")),
            self._of_block(several if shown["multiple"] else None, TOTAL),
            self._of_block(lives if shown["multiple_live"] else None, TOTAL),
            self._count(figures.get("students")),
            self._estimate(lives if shown["multiple_live"] else None, TOTAL),
        )

    def students(self, name: TableName, of: str, *, named: bool) -> tuple[StudentsOf, ...]:
        """Return a table of students; with `named` only the categories whose count is shown."""
        block = self._block(name, of)
        if block is None:
            return ()
        return tuple(
            StudentsOf(category, self._of_block(block, category))
            for category in sorted(block.parts)
            if not named or category in block.shown
        )

    def coverage(self, region: str) -> tuple[DisclosedCount, DisclosedCount]:
        """Return the students of a region that are followed, and those that are not."""
        block = self._block(TableName.COVERAGE, region)
        if block is None:
            return self._count(None), self._count(None)
        total = block.total
        return tuple(  # type: ignore[return-value] # two of them
            self._said(part, block.as_of, shows=block.shows_total, small=part < self._threshold)
            for part in (total.part, total.rest)
        )

    def silent(self, region: str) -> tuple[str, ...]:
        """Return the institutions of a region that were silent."""
        return tuple(sorted(self._counts(TableName.SILENCE, region)))

    def _counts(self, name: TableName, of: str) -> Mapping[str, Mapping[str, tuple[int | None, str]]]:
        table = self._tables.get((name, of))
        return {} if table is None or table.counts is None else table.counts.rows

    def _block(self, name: TableName, of: str) -> Block | None:
        table = self._tables.get((name, of))
        return None if table is None else table.block

    def _count(self, shown: tuple[int | None, str] | None) -> DisclosedCount:
        value, display = shown or (None, f"<{self._threshold}")
        return DisclosedCount(value, value is None, display, self._as_of)

    def _of_block(self, block: Block | None, category: str) -> DisclosedCount:
        if block is None:
            return DisclosedCount(None, suppressed=True, display=HIDDEN, as_of=self._as_of)
        share = block.total if category == TOTAL else block.parts.get(category)
        if share is None:
            return DisclosedCount(None, suppressed=True, display=HIDDEN, as_of=block.as_of)
        return self._said(
            share.part,
            block.as_of,
            shows=_shows(block, category),
            small=category in block.pattern.labelled and block.pattern.listed,
        )

    def _said(self, value: int, as_of: datetime, *, shows: bool, small: bool) -> DisclosedCount:
        if shows:
            return DisclosedCount(value, suppressed=False, display=str(value), as_of=as_of)
        display = f"<{self._threshold}" if small else HIDDEN
        return DisclosedCount(None, suppressed=True, display=display, as_of=as_of)

    def _students(self, block: Block | None, category: str) -> DisclosedCount:
        # National: how many students are behind the registrations tells how many have several.
        if block is None or category not in block.beside:
            return self._count(None)
        (students,) = block.beside[category]
        share = block.total if category == TOTAL else block.parts[category]
        shows = _shows(block, category) and min(students, share.base - students) >= self._threshold
        return self._said(int(students), block.as_of, shows=shows, small=share.base < self._threshold)

    def _estimate(self, block: Block | None, category: str) -> DisclosedEstimate:
        if block is None or category not in block.beside or not _shows(block, category):
            small = block is None or (block.total if category == TOTAL else block.parts.get(category)) is None
            display = HIDDEN if not small else f"<{self._threshold}"
            as_of = self._as_of if block is None else block.as_of
            return DisclosedEstimate(
                None, None, None, suppressed=True, display=display, as_of=as_of, school_years=None
            )
        value, low, high, *years = block.beside[category]  # tables of before history had none of them
        display = f"{value:.0f} ({low:.0f} to {high:.0f})"
        return DisclosedEstimate(
            round(value, 1),
            round(low, 1),
            round(high, 1),
            suppressed=False,
            display=display,
            as_of=block.as_of,
            school_years=int(sum(years)),
        )


def _shows(block: Block, category: str) -> bool:
    return block.shows_total if category == TOTAL else category in block.shown
