"""The true cells of one school year, as tables of shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.cube import Cell, Dimension
from app.domain.disclosure.measures import Share, Table
from app.domain.disclosure.patterns import TOTAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_EMPTY = Cell("", "")


def registrations(cell: Cell) -> Share:
    """Return registrations, as a share of themselves."""
    return Share(cell.registrations, cell.registrations)


def live(cell: Cell) -> Share:
    """Return the live ones of the registrations."""
    return Share(cell.registrations, cell.live)


def multiple(cell: Cell) -> Share:
    """Return the registrations whose student has several."""
    return Share(cell.registrations, cell.multiple, cell.own_multiple)


def multiple_live(cell: Cell) -> Share:
    """Return the live registrations whose student has several live ones."""
    return Share(cell.live, cell.multiple_live, cell.own_multiple_live)


@dataclass(frozen=True, slots=True)
class YearOfCells:
    """All cells of a school year, by dimension and institution ('' is the country)."""

    cells: Mapping[tuple[Dimension, str], dict[str, Cell]]
    brins: tuple[str, ...]

    def of(self, dimension: Dimension, brin: str) -> dict[str, Cell]:
        """Return the cells of a table by category."""
        return self.cells.get((dimension, brin), {})

    def total(self, brin: str) -> Cell:
        """Return the total of an institution, or of the country."""
        return self.of(Dimension.TOTAL, brin).get(TOTAL, _EMPTY)

    def table(self, dimension: Dimension, brin: str, measure: Callable[[Cell], Share]) -> Table:
        """Return one measure of a table, with what each institution has of a national one."""
        parts = {name: measure(cell) for name, cell in self.of(dimension, brin).items()}
        own: dict[str, dict[str, Share]] = {}
        for one in () if brin else self.brins:
            own[one] = {name: measure(cell) for name, cell in self.of(dimension, one).items()}
            own[one][TOTAL] = measure(self.total(one))
        return Table(measure(self.total(brin)), parts, own)
