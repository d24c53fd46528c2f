"""The overview of 1 October: made once, and the same ever after."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.access import Role, Scope
from app.domain.annual_overview import COLUMNS
from app.domain.codes import Status
from app.domain.disclosure.publishing import TableName
from app.domain.errors import BadUserInputError, ForbiddenError, NotFoundError
from app.domain.export import ExportFormat, OverviewRequest
from app.domain.personal_number import PersonalNumber
from app.services.statistics import StatisticsService
from graphql_schema.schema import schema
from tests.factories.sheets import cells
from tests.factories.world import BRIN, FOREIGN_BRIN, OTHER_BRIN, a_message, a_personal_number

pytestmark = pytest.mark.slow

YEAR = 2025


def at(month: int, day: int, hour: int = 12, year: int = YEAR) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


@pytest.fixture
async def refreshed(world):
    """Return a function that freezes the figures of a moment."""

    await world.services.statistics.refresh_daily()  # or the hub does so meanwhile, by itself

    async def refresh(moment: datetime) -> None:
        await StatisticsService(world.hub.database, lambda: moment, threshold=5).refresh()

    return refresh


async def overview(world, by=None, school_year=YEAR):
    return await world.services.annual_overview.overview(by or world.cambo, school_year)


def several(count: int, **changed: object):
    return [a_message(school_year=YEAR, **changed) for _ in range(count)]


def values(found, name: TableName):
    return {row.category: (row.registrations.value, row.live.value) for row in found.tables[name]}


class TestTheOverview:
    async def test_counts_the_country_by_institution_programme_and_region(self, world, refreshed) -> None:
        await world.report(
            *several(9, leaving_school="00AH00"),
            *several(6, programme_code="25605"),
            *several(6, programme_code="25605", status=Status.WITHDRAWN),
            *several(6, brin=OTHER_BRIN, programme_code="25605", status=Status.WITHDRAWN),
            *several(7, brin=OTHER_BRIN, leaving_school="00AH00"),
            *several(8, brin=OTHER_BRIN, programme_code="25605"),
            a_message(school_year=YEAR + 1),
        )
        await refreshed(at(10, 1))
        found = await overview(world)
        assert (found.as_of, found.school_year) == (at(10, 1), YEAR)
        assert (found.total.registrations.value, found.total.live.value) == (42, 30)
        assert values(found, TableName.INSTITUTION) == {BRIN: (21, 15), OTHER_BRIN: (21, 15)}
        assert values(found, TableName.PROGRAMME) == {"25604": (16, 16), "25605": (26, 14)}
        assert {row.category: row.registrations.value for row in found.tables[TableName.REGION]} == {
            "12": 16,
            "?": 26,
        }

    async def test_says_what_the_figures_of_that_day_said(self, world, refreshed) -> None:
        for brin in (BRIN, OTHER_BRIN):
            for code, count in (("25604", 9), ("25605", 8), ("25606", 7), ("25607", 1)):
                await world.report(*several(count, brin=brin, programme_code=code))
            await world.report(*several(8, brin=brin, programme_code="25606", status=Status.WITHDRAWN))
        await refreshed(at(10, 1))
        daily = await world.services.statistics.registrations(world.cambo, None, YEAR)
        found = await overview(world)
        assert found.total == daily.total
        assert {name: daily.tables[name] for name in found.tables} == found.tables
        assert any(row.registrations.suppressed for row in found.tables[TableName.PROGRAMME])

    async def test_keeps_nothing_but_what_is_shown(self, world, refreshed) -> None:
        numbers = [a_personal_number() for _ in range(9)]
        await world.report(*(one for number in numbers for one in several(2, personal_number=number)))
        await world.report(*several(3, programme_code="25605"))
        await refreshed(at(10, 1))
        async with world.hub.database.connection() as connection:
            kept = await connection.fetch("select content::text as text from annual_overview_table")
        assert len(kept) == 3
        assert all("multiple" not in row["text"] and "block" not in row["text"] for row in kept)

    async def test_is_the_first_one_of_that_day_or_after(self, world, refreshed) -> None:
        await world.report(*several(6))
        await refreshed(at(9, 30, 21))
        with pytest.raises(NotFoundError):
            await overview(world)
        await refreshed(at(9, 30, 22))  # in Amsterdam 1 October has begun
        await world.report(*several(6))
        await refreshed(at(10, 1, 9))
        found = await overview(world)
        assert (found.as_of, found.total.registrations.value) == (at(9, 30, 22), 6)

    async def test_may_come_late_but_not_after_the_end_of_the_year(self, world, refreshed) -> None:
        await world.report(*several(6))
        await refreshed(at(1, 1, year=YEAR + 1))
        with pytest.raises(NotFoundError) as refused:
            await overview(world)
        assert refused.value.code == "NOT_FOUND"
        await refreshed(at(12, 31))
        assert (await overview(world)).as_of == at(12, 31)


class TestLater:
    async def test_neither_refreshes_nor_removals_change_it(self, world, refreshed) -> None:
        numbers = [a_personal_number() for _ in range(8)]
        await world.report(*(a_message(school_year=YEAR, personal_number=one) for one in numbers))
        await refreshed(at(10, 1))
        before = await overview(world)
        later = StatisticsService(world.hub.database, lambda: at(10, 1) + timedelta(days=40), threshold=5)
        for number in numbers[:4]:
            assert await world.services.retention.erase(world.cambo, PersonalNumber(number))
        await world.report(*several(30, brin=OTHER_BRIN))
        await later.refresh()
        async with world.hub.database.connection() as connection:
            assert not await connection.fetchval(
                "select 1 from statistics_snapshot where as_of = $1", at(10, 1)
            )
        assert await overview(world) == before

    async def test_each_year_has_its_own(self, world, refreshed) -> None:
        await world.report(*several(6), *(a_message(school_year=YEAR + 1) for _ in range(9)))
        await refreshed(at(10, 1))
        await refreshed(at(10, 1, year=YEAR + 1))
        found = [await overview(world, school_year=year) for year in (YEAR, YEAR + 1)]
        assert [one.total.registrations.value for one in found] == [6, 9]
        assert [one.as_of for one in found] == [at(10, 1), at(10, 1, year=YEAR + 1)]


class TestAccess:
    async def test_is_that_of_the_national_figures(self, world, refreshed) -> None:
        await world.report(*several(6))
        await refreshed(at(10, 1))
        readers = [await world.principal(role) for role in (Role.OPERATOR, Role.REGION)]
        foreign = await world.principal(Role.INSTITUTION, brins=(FOREIGN_BRIN,))
        for reader in (world.cambo, world.institution, foreign, *readers):
            assert (await overview(world, reader)).total.registrations.value == 6
        without = replace(world.cambo, scopes=frozenset())
        for caller in (world.sis, world.os, without):
            with pytest.raises(ForbiddenError):
                await overview(world, caller)

    async def test_tells_a_year_that_cannot_be_from_one_without(self, world) -> None:
        for year in (2015, 99_999, -1):
            with pytest.raises(BadUserInputError) as refused:
                await overview(world, school_year=year)
            assert refused.value.field == "schoolYear"
        result = await schema.execute(
            "{ annualOverview(schoolYear: 2020) { asOf } }", context_value=world.hub.context(world.cambo)
        )
        assert result.data == {"annualOverview": None}
        assert result.errors is not None
        assert "no annual overview" in result.errors[0].message

    async def test_is_asked_for_in_graphql(self, world, refreshed) -> None:
        await world.report(*several(7, leaving_school="00AH00"))
        await refreshed(at(10, 2))
        result = await schema.execute(
            """{ annualOverview(schoolYear: 2025) { asOf day schoolYear total { registrations { value } }
                 byInstitution { institution { brin } live { display } }
                 byProgramme { programme { code name } live { asOf } } byRegion { region } } }""",
            context_value=world.hub.context(world.institution),
        )
        assert result.errors is None
        moment = "2025-10-02T12:00:00Z"
        assert result.data == {
            "annualOverview": {
                "asOf": moment,
                "day": "2025-10-01",
                "schoolYear": 2025,
                "total": {"registrations": {"value": 7}},
                "byInstitution": [{"institution": {"brin": BRIN}, "live": {"display": "7"}}],
                "byProgramme": [
                    {
                        "programme": {"code": "25604", "name": "Software developer"},
                        "live": {"asOf": moment},
                    }
                ],
                "byRegion": [{"region": "12"}],
            }
        }


class TestTheFile:
    async def written(self, world, request: OverviewRequest, by=None) -> bytes:
        chunks = [chunk async for chunk in world.services.exports.write(by or world.cambo, request)]
        return b"".join(chunks)

    async def test_has_the_figures_in_stated_columns(self, world, refreshed) -> None:
        for brin in (BRIN, OTHER_BRIN):
            for code, count in (("25604", 9), ("25605", 8), ("25606", 7), ("25607", 1)):
                await world.report(*several(count, brin=brin, programme_code=code))
            await world.report(*several(8, brin=brin, programme_code="25606", status=Status.WITHDRAWN))
        await refreshed(at(10, 1))
        file = await self.written(world, OverviewRequest(YEAR, ExportFormat.CSV))
        lines = list(csv.reader(io.StringIO(file.decode(), newline="")))
        head = ["2025", "2025-10-01T12:00:00Z"]
        assert lines == [
            list(COLUMNS),
            [*head, "TOTAL", "", "", "66", "50"],
            [*head, "INSTITUTION", OTHER_BRIN, f"Institution {OTHER_BRIN}", "33", "25"],
            [*head, "INSTITUTION", BRIN, f"Institution {BRIN}", "33", "25"],
            [*head, "PROGRAMME", "25604", "Software developer", "18", "–"],
            [*head, "PROGRAMME", "25605", "", "–", "–"],
            [*head, "PROGRAMME", "25606", "", "30", "–"],
            [*head, "PROGRAMME", "25607", "", "<5", "<5"],
            [*head, "REGION", "?", "", "66", "50"],
        ]
        book = await self.written(world, OverviewRequest(YEAR, ExportFormat.XLSX))
        assert cells(book) == [[text for text in line if text] for line in lines]

    async def test_is_for_the_one_client_that_has_the_link_and_once(self, world, refreshed) -> None:
        await world.report(*several(6))
        await refreshed(at(10, 1))
        request = OverviewRequest(YEAR, ExportFormat.CSV)
        service = world.services.exports
        secret, _ = await service.offer(world.institution, request)
        narrow = replace(world.institution, scopes=frozenset({Scope.MESSAGES_READ}))
        for caller, refusal in (
            (world.cambo, NotFoundError),
            (world.os, NotFoundError),
            (narrow, ForbiddenError),
        ):
            with pytest.raises(refusal):
                await service.take(caller, secret)
        assert await service.take(world.institution, secret) == request
        with pytest.raises(NotFoundError):
            await service.take(world.institution, secret)

    async def test_is_not_offered_where_there_is_none(self, world) -> None:
        for caller, year, refusal in (
            (world.cambo, 2020, NotFoundError),
            (world.cambo, 99_999, BadUserInputError),
            (world.os, 2020, ForbiddenError),
            (world.sis, 2020, ForbiddenError),
        ):
            with pytest.raises(refusal):
                await world.services.exports.offer(caller, OverviewRequest(year, ExportFormat.CSV))
        assert await world.count("export_link") == 0
