"""Who is told of a change: transfer systems of what they may see, CAMBO of all of it."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from app.domain.codes import LearningPath
from app.domain.personal_number import PersonalNumber
from app.domain.registration import ChangeKind
from app.domain.status_message import Correction, CorrectionKind
from tests.factories.world import a_message, a_personal_number


def now():
    return datetime.now(UTC)


class TestVavo:
    async def test_goes_to_cambo_and_hides_from_transfer_systems(self, world):
        number = a_personal_number()
        message = a_message(personal_number=number, learning_path=LearningPath.VAVO)
        await world.follow(number, "S-1")
        await world.report(message)
        (change,) = await world.hear(1, by=world.cambo)
        assert change.registration.learning_path is LearningPath.VAVO
        assert (await world.services.feed.position(world.os)).last_number == 0
        assert (await world.follow(number, "S-1")).results[0].registrations == ()

    async def test_goes_to_transfer_systems_where_a_setting_allows_it(self, open_world):
        world = await open_world(vavo_to_transfer_systems=True)
        await world.furnish()
        number = a_personal_number()
        await world.follow(number, "S-1")
        await world.report(a_message(personal_number=number, learning_path=LearningPath.VAVO))
        (change,) = await world.hear(1)
        assert change.registration.learning_path is LearningPath.VAVO
        assert len((await world.follow(number, "S-1")).results[0].registrations) == 1

    async def test_hides_what_was_told_when_a_registration_becomes_one(self, world):
        number = a_personal_number()
        message = a_message(personal_number=number)
        moved = replace(message, message_id=uuid4(), learning_path=LearningPath.VAVO, occurred_at=now())
        back = replace(message, message_id=uuid4(), occurred_at=now())
        await world.follow(number, "S-1")
        await world.report(message)
        assert [change.kind for change in await world.hear(1)] == [ChangeKind.STATUS]
        await world.report(moved)
        await world.settled()
        assert [change.kind for change in await world.hear(1)] == [ChangeKind.HIDDEN]
        await world.report(replace(back, occurred_at=now()))
        assert [change.kind for change in await world.hear(2)] == [ChangeKind.STATUS, ChangeKind.DATA]


class TestCompleteFeed:
    async def test_of_cambo_holds_every_change_and_no_reference(self, world):
        number = a_personal_number()
        message = a_message(personal_number=number)
        await world.follow(number, "S-1")
        await world.report(message, a_message())
        annulled = Correction(uuid4(), message.application_id, message.brin, CorrectionKind.ANNUL, "wrong")
        await world.services.status_messages.correct(world.sis, [annulled])
        await world.settled()
        changes = await world.hear(3, by=world.cambo)
        assert [change.number for change in changes] == [1, 2, 3]
        assert {change.reference for change in changes} == {None}
        assert changes[2].kind is ChangeKind.ANNULLED
        assert (await world.services.feed.position(world.os)).last_number == 2

    async def test_shows_what_is_now_another_students(self, world):
        wrong, right = a_personal_number(), a_personal_number()
        message = a_message(personal_number=wrong)
        await world.follow(wrong, "wrong")
        await world.report(message)
        correction = Correction(
            uuid4(),
            message.application_id,
            message.brin,
            CorrectionKind.REPLACE_STUDENT,
            "wrong student",
            personal_number=PersonalNumber(right),
        )
        await world.services.status_messages.correct(world.sis, [correction])
        await world.settled()
        assert [change.kind for change in await world.hear(2)] == [ChangeKind.HIDDEN, ChangeKind.ANNULLED]
        assert all(change.registration for change in await world.hear(3, by=world.cambo))
