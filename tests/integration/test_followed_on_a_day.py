"""Followed students by the statuses of a day: 1 October, say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from app.domain import codes
from app.domain.codes import Status
from app.domain.errors import BadUserInputError
from app.domain.following import FollowedFilter
from app.domain.status_message import Correction, CorrectionKind
from graphql_schema.schema import schema
from tests.factories.world import BRIN, a_message, a_personal_number

pytestmark = pytest.mark.slow

DAY = date(2025, 10, 1)
WITHOUT = FollowedFilter(2025, without_live_registration=True, on=DAY)
WITH = FollowedFilter(2025, without_live_registration=False, on=DAY)


def at(month: int, day: int, hour: int = 10) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


@pytest.fixture
async def followed(world):
    """Follow six students; return a function that tells who stood where on a day."""
    numbers = {name: a_personal_number() for name in "abcdef"}
    for name, number in numbers.items():
        await world.follow(number, name)

    def message(name: str, status: Status, when: datetime, **changed: object):
        return a_message(
            application_id=f"A-{name}",
            personal_number=numbers[name],
            school_year=2025,
            status=status,
            occurred_at=when,
            **changed,
        )

    await world.report(
        message("a", Status.RECEIVED, at(9, 1)),
        message("a", Status.WITHDRAWN, at(10, 10)),  # live then, not now
        message("b", Status.RECEIVED, at(10, 5)),  # live now, not then
        message("c", Status.ENROLLED, at(9, 1)),
        message("c", Status.WITHDRAWN, at(9, 30)),
        message("d", Status.ENROLLED, datetime(2025, 10, 1, 21, 59, tzinfo=UTC)),  # before midnight there
        message("e", Status.ENROLLED, datetime(2025, 10, 1, 22, tzinfo=UTC)),  # after it
    )

    async def ask(wanted: FollowedFilter):
        return await world.services.following.followed_students(world.os, "", 50, wanted)

    ask.message = message  # type: ignore[attr-defined]
    return ask


class TestFollowedOnADay:
    async def test_goes_by_the_status_at_its_end_and_not_by_the_present_one(self, followed) -> None:
        assert [one.reference for one in await followed(WITHOUT)] == ["b", "c", "e", "f"]
        assert [one.reference for one in await followed(WITH)] == ["a", "d"]
        now = FollowedFilter(2025, without_live_registration=True)
        assert [one.reference for one in await followed(now)] == ["a", "c", "f"]

    async def test_tells_what_stood_then_beside_what_stands_now(self, followed) -> None:
        found = {one.reference: one for one in await followed(FollowedFilter(on=DAY))}
        assert list(found) == ["a", "b", "c", "d", "e", "f"]
        (then,) = found["a"].standing
        assert (then.status, then.since, then.registration.status) == (
            Status.RECEIVED,
            at(9, 1),
            Status.WITHDRAWN,
        )
        assert (found["b"].standing, len(found["b"].registrations)) == ((), 1)
        assert [one.standing for one in await followed(FollowedFilter())] == [None] * 6

    async def test_with_a_year_alone_shows_those_that_were_registered_by_then(self, followed) -> None:
        found = await followed(FollowedFilter(2025, on=DAY))
        assert [one.reference for one in found] == ["a", "c", "d"]
        assert await followed(FollowedFilter(2024, on=DAY)) == []

    async def test_leaves_out_what_had_no_effect_or_is_annulled(self, world, followed) -> None:
        late = followed.message("c", Status.OFFERED, at(9, 29))  # after WITHDRAWN of the 30th was known
        assert [one.outcome for one in await world.report(late)] == ["OUTDATED"]
        annulment = Correction(uuid4(), "A-d", BRIN, CorrectionKind.ANNUL, "typing error")
        await world.services.status_messages.correct(world.sis, [annulment])
        assert [one.reference for one in await followed(WITH)] == ["a"]

    async def test_goes_by_the_last_correction_that_is_about_it(self, world, followed) -> None:
        correction = Correction(
            uuid4(), "A-c", BRIN, CorrectionKind.REPLACE_STATUS, "typing error", Status.OFFERED, at(9, 20)
        )
        await world.services.status_messages.correct(world.sis, [correction])
        assert [one.reference for one in await followed(WITH)] == ["a", "c", "d"]

    async def test_can_be_today_and_no_later_day(self, followed) -> None:
        today = codes.today(datetime.now(UTC))
        assert len(await followed(FollowedFilter(on=today))) == 6
        for day in (today + timedelta(days=2), date(2016, 7, 31), date.max, date.min):
            with pytest.raises(BadUserInputError) as refused:
                await followed(FollowedFilter(on=day))
            assert refused.value.field == "on"
        for year in (2015, 99_999, -1):
            with pytest.raises(BadUserInputError) as refused:
                await followed(replace(WITHOUT, school_year=year))
            assert refused.value.field == "schoolYear"

    async def test_is_asked_for_in_graphql(self, world, followed) -> None:
        result = await schema.execute(
            """{ followedStudents(on: "2025-10-01", withoutLiveRegistration: false) {
                 nodes { reference
                         onDate { status since source registration { status applicationId } } } } }""",
            context_value=world.hub.context(world.os),
        )
        assert result.errors is None
        assert result.data is not None
        first = result.data["followedStudents"]["nodes"][0]
        assert first == {
            "reference": "a",
            "onDate": [
                {
                    "status": "RECEIVED",
                    "since": "2025-09-01T10:00:00Z",
                    "source": "SIS",
                    "registration": {"status": "WITHDRAWN", "applicationId": "A-a"},
                }
            ],
        }
