"""The annual overview, for those who may read the country's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.access import Principal, require_statistics_of
from app.domain.annual_overview import TABLES, AnnualOverview, NoAnnualOverviewError
from app.domain.disclosure.patterns import TOTAL
from app.domain.disclosure.publishing import TableName
from app.domain.school_year import require_school_year
from app.domain.statistics_reader import Reader
from app.persistence.unit_of_work import reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.persistence.database import Database


class AnnualOverviewService:
    """Reads what a refresh has kept (`StatisticsService`)."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, threshold: int) -> None:
        self._database = database
        self._clock = clock
        self._threshold = threshold

    async def overview(self, principal: Principal, school_year: int, place: str = "") -> AnnualOverview:
        """Return the overview of a school year; raise NoAnnualOverviewError where none was kept.

        `place` stands before the name of a field that is refused.
        """
        require_statistics_of(principal, None)
        require_school_year(school_year, self._clock(), f"{place}schoolYear")
        async with reading(self._database) as unit:
            tables = await unit.statistics.overviews.tables(school_year)
        if not tables:
            raise NoAnnualOverviewError
        as_of = next(iter(tables.values())).as_of
        reader = Reader(tables, as_of, self._threshold)
        total, *_ = reader.rows(TableName.PROGRAMME, TOTAL)
        return AnnualOverview(
            as_of,
            school_year,
            total,
            {
                name: tuple(row for row in reader.rows(name, TOTAL) if row.category != TOTAL)
                for name in TABLES
            },
        )
