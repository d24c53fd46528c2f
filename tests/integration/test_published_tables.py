"""The tables of the cube, the coverage of regions, and refreshes that meet or die."""

import asyncio

import pytest

from app.domain.access import Role
from app.domain.codes import Status
from app.domain.disclosure.publishing import TableName
from app.domain.errors import ForbiddenError, UnavailableError
from app.persistence.statistics import refreshing
from tests.factories.world import BRIN, FOREIGN_BRIN, OTHER_BRIN, a_message, a_personal_number, a_student


class TestRegistrations:
    async def test_are_split_by_what_they_are_for(self, world):
        await world.report(
            *(a_message(programme_code="25604") for _ in range(9)),
            *(a_message(programme_code="25605", status=Status.WITHDRAWN) for _ in range(6)),
            *(a_message(brin=OTHER_BRIN) for _ in range(7)),
        )
        await world.services.statistics.refresh()
        ask = world.services.statistics.registrations
        own = await ask(world.institution, BRIN, 2026)
        assert (own.total.registrations.value, own.total.live.value) == (15, 9)
        programmes = {row.category: row.registrations.value for row in own.tables[TableName.PROGRAMME]}
        assert programmes == {"25604": 9, "25605": 6}
        statuses = {row.category: row.registrations.value for row in own.tables[TableName.STATUS]}
        assert statuses == {"SIS RECEIVED": 9, "SIS WITHDRAWN": 6}
        national = await ask(world.cambo, None, 2026)
        assert national.total.registrations.value == 22
        institutions = {
            row.category: row.registrations.value for row in national.tables[TableName.INSTITUTION]
        }
        assert institutions == {BRIN: 15, OTHER_BRIN: 7}

    async def test_of_a_year_without_data_are_suppressed_and_no_error(self, world):
        await world.services.statistics.refresh()
        nothing = await world.services.statistics.registrations(world.institution, BRIN, 2020)
        assert (nothing.total.registrations.value, nothing.total.registrations.display) == (None, "<5")
        assert nothing.tables[TableName.PROGRAMME] == ()
        with pytest.raises(ForbiddenError):
            await world.services.statistics.registrations(world.institution, FOREIGN_BRIN, 2026)


class TestCoverage:
    async def test_tells_a_region_how_many_are_followed(self, world):
        numbers = [a_personal_number() for _ in range(12)]
        await world.report(*(a_message(personal_number=one, leaving_school="00AH00") for one in numbers))
        await world.services.following.follow(
            world.os, [a_student(one, f"S{at}") for at, one in enumerate(numbers[:6])]
        )
        await world.services.statistics.refresh()
        region = await world.principal(Role.REGION)
        found = await world.services.statistics.coverage(region, "12", 2026)
        assert (found.followed.value, found.not_followed.value) == (6, 6)
        for caller, asked in ((region, "40"), (world.institution, "12"), (world.cambo, "12")):
            with pytest.raises(ForbiddenError):
                await world.services.statistics.coverage(caller, asked, 2026)


class TestARefresh:
    async def test_waits_for_another_one(self, world):
        await world.report(*(a_message() for _ in range(6)))
        first, second = await asyncio.gather(*(world.services.statistics.refresh() for _ in range(2)))
        assert first != second
        found = await world.services.statistics.multiple_registrations(world.institution, BRIN, 2026)
        assert found.total.registrations.value == 6

    async def test_that_dies_leaves_the_last_snapshot_whole(self, world):
        await world.report(*(a_message() for _ in range(6)))
        as_of = await world.services.statistics.refresh()
        await world.report(*(a_message() for _ in range(6)))

        async def dying():
            async with refreshing(world.hub.database) as figures:
                await figures.make(as_of)
                raise ConnectionResetError

        with pytest.raises(UnavailableError):
            await dying()
        found = await world.services.statistics.multiple_registrations(world.institution, BRIN, 2026)
        assert (found.as_of, found.total.registrations.value) == (as_of, 6)
        await world.services.statistics.refresh()
        found = await world.services.statistics.multiple_registrations(world.institution, BRIN, 2026)
        assert found.total.registrations.value == 12
