"""The frozen figures."""

from uuid import uuid4

import pytest

from app.domain.access import Role
from app.domain.codes import Status
from app.domain.errors import BadUserInputError, ForbiddenError
from app.domain.status_message import Correction, CorrectionKind
from tests.factories.world import BRIN, FOREIGN_BRIN, OTHER_BRIN, a_message, a_personal_number


async def figures(world, by, brin=BRIN, school_year=2026):
    """Return the figures of an institution."""
    return await world.services.statistics.multiple_registrations(by, brin, school_year)


class TestMultipleRegistrations:
    async def test_count_what_is_one_of_several(self, world):
        several = [a_personal_number() for _ in range(6)]
        messages = [
            a_message(personal_number=number, brin=brin) for number in several for brin in (BRIN, OTHER_BRIN)
        ]
        messages += [a_message() for _ in range(5)]
        messages += [a_message(status=Status.WITHDRAWN) for _ in range(5)]
        messages += [a_message(personal_number=number, school_year=2025) for number in several]
        await world.report(*messages)
        await world.services.statistics.refresh()
        own = await figures(world, world.institution)
        assert own.total.registrations.value == 16
        assert own.total.live.value == 11
        assert own.total.multiple.value == 6
        assert own.total.multiple_live.value == 6
        assert own.total.students.value == 16
        assert own.total.expected_enrolments.value == 6 * 0.5 + 5
        assert [one.programme_code for one in own.by_programme] == ["25604"]
        national = await figures(world, world.cambo, brin=None)
        assert national.total.registrations.value == 22
        assert national.total.students.value == 16
        last_year = await figures(world, world.institution, school_year=2025)
        assert last_year.total.multiple.suppressed

    async def test_hide_what_is_below_the_threshold(self, world):
        await world.report(*[a_message() for _ in range(4)])
        await world.services.statistics.refresh()
        total = (await figures(world, world.institution)).total
        for count in (total.registrations, total.live, total.multiple, total.students):
            assert (count.value, count.suppressed, count.display) == (None, True, "<5")
        estimate = total.expected_enrolments
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)

    async def test_leave_out_what_was_annulled(self, world):
        messages = [a_message() for _ in range(6)]
        await world.report(*messages)
        annulled = messages[0]
        await world.services.status_messages.correct(
            world.sis,
            [Correction(uuid4(), annulled.application_id, BRIN, CorrectionKind.ANNUL, "twice")],
        )
        await world.services.statistics.refresh()
        assert (await figures(world, world.institution)).total.registrations.value == 5

    async def test_stay_the_same_until_they_are_refreshed(self, world):
        await world.report(*[a_message() for _ in range(5)])
        await world.services.statistics.refresh()
        before = await figures(world, world.institution)
        await world.report(*[a_message() for _ in range(5)])
        assert await figures(world, world.institution) == before
        assert not await world.services.statistics.refresh_daily(), "today has its snapshot"
        await world.services.statistics.refresh()
        assert (await figures(world, world.institution)).total.registrations.value == 10

    async def test_are_there_for_ones_own_institution_alone(self, world):
        await world.services.statistics.refresh()
        region = await world.principal(Role.REGION)
        operator = await world.principal(Role.OPERATOR)
        assert await figures(world, operator) is not None
        assert await figures(world, region, brin=None) is not None
        for caller, brin in ((world.institution, FOREIGN_BRIN), (region, BRIN), (world.cambo, BRIN)):
            with pytest.raises(ForbiddenError):
                await figures(world, caller, brin=brin)
        for caller in (world.sis, world.os):
            with pytest.raises(ForbiddenError):
                await figures(world, caller, brin=None)

    @pytest.mark.parametrize(("brin", "school_year"), [("x", 2026), (BRIN, 1999), (BRIN, 10**9)])
    async def test_refuse_what_is_no_code(self, world, brin, school_year):
        with pytest.raises(BadUserInputError):
            await figures(world, world.institution, brin, school_year)
