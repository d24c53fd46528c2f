"""Outcomes of earlier school years: against a count by hand, through removals, and in what is expected."""

from datetime import UTC, datetime
from random import Random

import pytest

from app.domain.history import weeks_before
from app.persistence.statistics import refreshing
from app.persistence.unit_of_work import unit_of_work
from tests.factories.outcomes import ROWS, Told, laid_out, past, present
from tests.factories.school_year import Country, fill, put_institutions
from tests.integration.test_cube import REMOVE

pytestmark = pytest.mark.slow

_STUDENTS = 500
_EARLIER, _YEAR = 2025, 2026
_COUNTS = "select * from statistics_history order by school_year, weeks, brin, live_of_student, status"
_FIGURES = """
select school_year, of, content from statistics_table
where snapshot_id = (select max(id) from statistics_snapshot) and name = 'MULTIPLE_LIVE'
order by school_year, of
"""


@pytest.fixture
async def country(world):
    """Fill two school years, with what has no effect and what is annulled."""
    async with world.hub.database.connection() as connection:
        await put_institutions(connection)
        for year in (_EARLIER, _YEAR):
            await fill(connection, Country(year, seed=year), _STUDENTS, year)
        await connection.execute(
            "update status_event e set kind = 'OUTDATED' from registration r where r.id = e.registration_id"
            " and e.id % 17 = 0 and previous_status is not null and school_year = $1",
            _EARLIER,
        )
        await connection.execute("update registration set annulled_by = 1 where id % 23 = 0")
    return world


async def frozen(world, statement=_COUNTS):
    """Return rows as they stand."""
    async with world.hub.database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(statement)]


async def remove(world, students):
    """Remove students as retention does."""
    async with unit_of_work(world.hub.database) as unit:
        await unit.statistics.carry(students)
        for statement in REMOVE:
            await unit._connection.execute(statement, students)


async def students_of(world):
    return [row[0] for row in await frozen(world, "select id from student order by id")]


async def laid(world, school_year, weeks):
    async with world.hub.database.connection() as connection:
        return laid_out([Told(*row) for row in await connection.fetch(ROWS, school_year)], school_year, weeks)


class TestOutcomes:
    @pytest.mark.parametrize("weeks", [0, 4, 30, 52])
    async def test_equal_a_count_by_hand(self, country, weeks):
        counted = sorted(past(await laid(country, _EARLIER, weeks)))
        async with refreshing(country.hub.database) as figures:
            assert sorted(await figures.histories.of(_EARLIER, weeks)) == counted
            assert sorted(await figures.histories.of(_EARLIER, weeks)) == counted, "asked again"
        assert sum(one.enrolled for one in counted) > 20 or weeks == 52

    async def test_of_today_equal_a_count_by_hand(self, country):
        async with country.hub.database.connection() as connection:
            rows = await connection.fetch(ROWS, _YEAR)
        latest = [Told(*row) for row in rows]
        counted = sorted(present(laid_out(latest, _YEAR, 0)))
        await remove(country, (await students_of(country))[-200:])
        async with refreshing(country.hub.database) as figures:
            assert sorted(await figures.histories.present(_YEAR)) == counted

    @pytest.mark.parametrize("seed", range(3))
    async def test_do_not_change_by_removals_before(self, country, seed):
        drawn = Random(seed)
        counted = {weeks: sorted(past(await laid(country, _EARLIER, weeks))) for weeks in (1, 20, 45)}
        gone = drawn.sample(await students_of(country), 300)
        for bite in (gone[:100], gone[100:]):
            await remove(country, bite)
        async with refreshing(country.hub.database) as figures:
            for weeks, expected in counted.items():
                assert sorted(await figures.histories.of(_EARLIER, weeks)) == expected

    async def test_are_whole_when_a_removal_comes_in_between(self, country):
        counted = sorted(past(await laid(country, _EARLIER, 20)))
        async with refreshing(country.hub.database) as figures:
            await figures.latest()
            await remove(country, (await students_of(country))[:200])
            assert sorted(await figures.histories.of(_EARLIER, 20)) == counted

    async def test_of_other_weeks_are_carried_when_one_is_frozen(self, country):
        counted = {weeks: sorted(past(await laid(country, _EARLIER, weeks))) for weeks in (19, 4)}
        async with refreshing(country.hub.database) as figures:
            await figures.histories.of(_EARLIER, 20)
        await remove(country, Random(1).sample(await students_of(country), 300))
        async with refreshing(country.hub.database) as figures:
            for weeks, expected in counted.items():
                assert sorted(await figures.histories.of(_EARLIER, weeks)) == expected

    async def test_stay_once_they_are_frozen(self, country):
        async with refreshing(country.hub.database) as figures:
            before = await figures.histories.of(_EARLIER, 20)
        await remove(country, await students_of(country))
        async with refreshing(country.hub.database) as figures:
            assert sorted(await figures.histories.of(_EARLIER, 20)) == sorted(before)


class TestExpectedEnrolments:
    async def test_build_on_earlier_school_years_where_there_are_some(self, country):
        await country.services.statistics.refresh()
        found = await country.services.statistics.multiple_registrations(country.cambo, None, _YEAR)
        assert found.total.expected_enrolments.school_years == 1
        earlier = await country.services.statistics.multiple_registrations(country.cambo, None, _EARLIER)
        assert earlier.total.expected_enrolments.school_years == 0, "nothing is known of the year before it"
        weeks = weeks_before(_YEAR, datetime.now(UTC).date())
        outcome = past(await laid(country, _EARLIER, weeks))
        share = sum(one.enrolled for one in outcome) / sum(one.live for one in outcome)
        live = len(await laid(country, _YEAR, weeks))
        assert found.total.expected_enrolments.value == pytest.approx(share * live, rel=0.2)

    async def test_are_the_same_after_a_removal(self, country):
        await country.services.statistics.refresh()
        before = await frozen(country, _FIGURES)
        outcomes = await frozen(country)
        await remove(country, Random(1).sample(await students_of(country), 400))
        await country.services.statistics.refresh()
        assert await frozen(country, _FIGURES) == before
        assert await frozen(country) == outcomes

    async def test_go_by_the_rule_while_the_first_of_october_is_to_come(self, country):
        country.services.statistics._clock = lambda: datetime(2025, 9, 1, tzinfo=UTC)
        await country.services.statistics.refresh()
        found = await country.services.statistics.multiple_registrations(country.cambo, None, _YEAR)
        assert found.total.expected_enrolments.school_years == 0
        assert await frozen(country) == []
