"""The annual overview: the country's figures of a school year on 1 October, kept for good.

It is what `registrationStatistics` said of the country on one day, so it tells nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from app.domain.disclosure.counts import Counts
from app.domain.disclosure.patterns import TOTAL
from app.domain.disclosure.publishing import TableName
from app.domain.errors import NotFoundError
from app.domain.export import guarded, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from app.domain.catalogue import Institution, Programme
    from app.domain.disclosure.publishing import Published
    from app.domain.statistics import Row

TABLES = (TableName.INSTITUTION, TableName.PROGRAMME, TableName.REGION)
COLUMNS = ("school_year", "as_of", "table", "code", "name", "registrations", "live")
_FIGURES = ("registrations", "live")


class NoAnnualOverviewError(NotFoundError):
    """There is no annual overview of this school year: none was frozen from 1 October to 31 December."""


@dataclass(frozen=True, slots=True)
class AnnualOverview:
    """Registrations of a school year, as of the first snapshot on or after 1 October (Europe/Amsterdam)."""

    as_of: datetime
    school_year: int
    total: Row
    tables: Mapping[TableName, tuple[Row, ...]]


def day_of(school_year: int) -> date:
    """Return 1 October of a school year."""
    return date(school_year, 10, 1)


def year_to_keep(day: date) -> int | None:
    """Return the school year whose overview figures of this day may be, if any: until the year ends."""
    return day.year if day >= day_of(day.year) else None


def to_keep(published: Iterable[Published]) -> list[Published]:
    """Return the tables of an overview: what is shown of the country, registrations and live ones alone."""
    return [
        replace(table, counts=Counts({category: _kept(row) for category, row in table.counts.rows.items()}))
        for table in published
        if table.name in TABLES and not table.of and table.counts is not None
    ]


def _kept(row: Mapping[str, tuple[int | None, str]]) -> dict[str, tuple[int | None, str]]:
    return {name: row[name] for name in _FIGURES}


def lines_of(
    overview: AnnualOverview,
    institution_of: Callable[[str], Institution],
    programme_of: Callable[[str], Programme],
) -> Iterator[tuple[str, ...]]:
    """Yield the lines of a file, in COLUMNS: the total, then each table; figures as they are displayed."""
    head = (str(overview.school_year), moment(overview.as_of))

    def name_of(table: TableName, code: str) -> str:
        if table is TableName.INSTITUTION:
            return institution_of(code).name
        return (programme_of(code).name or "") if table is TableName.PROGRAMME else ""

    yield (*head, "TOTAL", TOTAL, "", *_displayed(overview.total))
    for table in TABLES:
        for row in overview.tables[table]:
            name = guarded(name_of(table, row.category))
            yield (*head, table.value, row.category, name, *_displayed(row))


def _displayed(row: Row) -> tuple[str, str]:
    return row.registrations.display, "" if row.live is None else row.live.display
