"""Statistics: frozen once a day, disclosed by rule."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, require_coverage_of, require_statistics_of, sees_others_statistics
from app.domain.annual_overview import to_keep, year_to_keep
from app.domain.disclosure.patterns import TOTAL
from app.domain.disclosure.publishing import TableName, publish
from app.domain.errors import BadUserInputError
from app.domain.school_year import require_school_year
from app.domain.statistics import Coverage, MultipleRegistrationStatistics, RegistrationStatistics
from app.domain.statistics_reader import Reader
from app.persistence.statistics import refreshing
from app.persistence.unit_of_work import reading
from app.services.expected_enrolments import estimating
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from app.persistence.database import Database
    from app.persistence.statistics import Statistics

_KEPT = timedelta(days=7)
_SILENT_AFTER = timedelta(days=14)
_BY_CATEGORY = (
    TableName.PROGRAMME,
    TableName.LEARNING_PATH,
    TableName.PROGRAMME_YEAR,
    TableName.WEEK,
    TableName.STATUS,
    TableName.REGION,
)


class StatisticsService:
    """Figures from the newest snapshot; the same question gets the same answer until the next one."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, threshold: int) -> None:
        self._database = database
        self._clock = clock
        self._threshold = threshold

    async def refresh(self) -> datetime:
        """Freeze the figures of now; return their time."""
        async with refreshing(self._database) as figures:
            return await self._freeze(figures)

    async def refresh_daily(self) -> bool:
        """Freeze the figures unless somebody has done so today; tell whether this did."""
        async with refreshing(self._database) as figures:
            latest = await figures.latest()
            if latest is not None and codes.today(latest[1]) == codes.today(self._clock()):
                return False
            await self._freeze(figures)
        log.info("statistics_refreshed")
        return True

    async def _freeze(self, figures: Statistics) -> datetime:
        now = self._clock()
        latest = await figures.latest()
        made = await figures.make(now)
        silent = await figures.silent(now - _SILENT_AFTER)
        years = await figures.years(made)
        for school_year in years:
            before = await figures.before(latest[0] if latest else made, school_year)
            year = await figures.year(made, school_year)
            estimate = await estimating(figures, school_year, years, codes.today(now), self._threshold)
            tables = list(publish(year, before, now, self._threshold, estimate, silent))
            await figures.publish(made, school_year, tables)
            if school_year == year_to_keep(codes.today(now)):
                await figures.overviews.keep(school_year, to_keep(tables))
        await figures.prune(made, now - _KEPT)
        return now

    async def multiple_registrations(
        self, principal: Principal, brin: str | None, school_year: int
    ) -> MultipleRegistrationStatistics | None:
        """Return the figures of an institution (None: national), or None before the first snapshot.

        Who is not that institution gets its total alone, as it may stand beside the others'.
        """
        of = self._judged(principal, brin, school_year)
        found = await self._read(
            school_year,
            [
                *((name, of) for name in (TableName.PROGRAMME, TableName.MULTIPLE, TableName.MULTIPLE_LIVE)),
                (TableName.LIVE_OF_STUDENT, of),
                (TableName.OVERLAP, of),
                (TableName.INSTITUTION, TOTAL),
            ],
        )
        if found is None:
            return None
        as_of, reader = found
        if sees_others_statistics(principal, brin):
            return MultipleRegistrationStatistics(
                as_of, brin, school_year, reader.figures_beside(of), (), (), ()
            )
        total, *programmes = reader.figures(of)
        return MultipleRegistrationStatistics(
            as_of,
            brin,
            school_year,
            total,
            tuple(programmes),
            reader.students(TableName.LIVE_OF_STUDENT, of, named=False),
            reader.students(TableName.OVERLAP, of, named=True),
        )

    async def registrations(
        self, principal: Principal, brin: str | None, school_year: int
    ) -> RegistrationStatistics | None:
        """Return the tables of an institution (None: national), or None before the first snapshot."""
        of = self._judged(principal, brin, school_year)
        beside = sees_others_statistics(principal, brin)
        names = (TableName.INSTITUTION,) if beside or not of else ()
        found = await self._read(
            school_year, [*((name, of) for name in _BY_CATEGORY), *((name, TOTAL) for name in names)]
        )
        if found is None:
            return None
        as_of, reader = found
        if beside:
            figures = reader.figures_beside(of)
            return RegistrationStatistics.of_total(as_of, brin, school_year, figures)
        total, *_ = reader.rows(TableName.PROGRAMME, of)
        tables = {
            name: tuple(row for row in reader.rows(name, of) if row.category != TOTAL)
            for name in (*_BY_CATEGORY, *names)
        }
        return RegistrationStatistics(as_of, brin, school_year, total, tables)

    async def coverage(self, principal: Principal, region: str, school_year: int) -> Coverage | None:
        """Return how a region's students are followed, or None before the first snapshot."""
        require_coverage_of(principal, region)
        require_school_year(school_year, self._clock())
        found = await self._read(school_year, [(TableName.COVERAGE, region), (TableName.SILENCE, region)])
        if found is None:
            return None
        as_of, reader = found
        followed, not_followed = reader.coverage(region)
        return Coverage(as_of, region, school_year, followed, not_followed, reader.silent(region))

    def _judged(self, principal: Principal, brin: str | None, school_year: int) -> str:
        if brin is not None and not codes.is_brin(brin):
            field = "brin"
            raise BadUserInputError(field, "This is no BRIN.")
        require_school_year(school_year, self._clock())
        require_statistics_of(principal, brin)
        return brin or TOTAL

    async def _read(
        self, school_year: int, wanted: Collection[tuple[TableName, str]]
    ) -> tuple[datetime, Reader] | None:
        async with reading(self._database) as unit:
            latest = await unit.statistics.latest()
            if latest is None:
                return None
            snapshot_id, as_of = latest
            tables = await unit.statistics.tables(snapshot_id, school_year, wanted)
        return as_of, Reader(tables, as_of, self._threshold)
