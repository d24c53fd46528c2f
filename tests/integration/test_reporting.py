"""Reporting statuses, as senders do it."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from app.domain.codes import LearningPath, Status
from app.domain.errors import BadUserInputError, ForbiddenError
from app.domain.personal_number import PersonalNumber
from app.domain.status_message import Correction, CorrectionKind, Finding, Outcome, Refusal
from tests.factories.world import BRIN, FOREIGN_BRIN, OTHER_BRIN, a_message, a_personal_number

HOUR = timedelta(hours=1)
FULL_WIDTH = "".join(chr(0xFF10 + int(digit)) for digit in "123456782")


def now():
    return datetime.now(UTC)


class TestReport:
    async def test_accepts_the_first_message_whatever_its_status(self, world):
        message = a_message(status=Status.WITHDRAWN, occurred_at=now() - 400 * 24 * HOUR)
        (result,) = await world.report(message)
        assert result.outcome is Outcome.ACCEPTED
        assert result.findings == (Finding.LATE,)
        assert result.registration.status is Status.WITHDRAWN
        assert result.registration.status_since == message.occurred_at

    async def test_answers_a_repetition_with_duplicate_and_what_the_first_got(self, world):
        message = a_message()
        await world.report(message)
        (result,) = await world.report(message)
        assert (result.outcome, result.original_outcome) == (Outcome.DUPLICATE, Outcome.ACCEPTED)
        assert result.registration.application_id == message.application_id
        assert await world.count("status_event") == 1

    async def test_knows_a_duplicate_within_one_batch(self, world):
        message = a_message()
        results = await world.report(message, message)
        assert [one.outcome for one in results] == [Outcome.ACCEPTED, Outcome.DUPLICATE]

    @pytest.mark.parametrize("padded", [True, False])
    async def test_takes_two_spellings_of_one_content_for_the_same(self, world, padded):
        number = "0" + _short_bsn()
        at = now() - HOUR
        first = a_message(personal_number=number, occurred_at=at)
        second = replace(first, personal_number=PersonalNumber(number if padded else number[1:]))
        await world.report(first)
        (result,) = await world.report(second)
        assert result.outcome is Outcome.DUPLICATE

    async def test_refuses_a_message_id_that_comes_with_other_content(self, world):
        message = a_message()
        await world.report(message)
        (result,) = await world.report(replace(message, status=Status.OFFERED))
        assert (result.outcome, result.code) == (Outcome.REFUSED, Refusal.MESSAGE_ID_REUSED)
        assert result.registration is None

    @pytest.mark.parametrize("shows", [True, False])
    async def test_refuses_the_id_of_a_step_of_the_same_batch(self, world, shows):
        first, other = (a_message(occurred_at=now() - 2 * HOUR) for _ in range(2))
        await world.report(first, other)
        step = {"message_id": uuid4(), "status": Status.OFFERED, "occurred_at": now()}
        steps = [replace(one, **step) for one in (first, other)]
        results = await world.services.status_messages.report(world.sis, steps, shows=shows)
        assert [one.code for one in results] == [None, Refusal.MESSAGE_ID_REUSED]

    async def test_keeps_message_ids_of_senders_apart(self, world):
        message = a_message()
        await world.report(message)
        (result,) = await world.report(message, by=world.cambo)
        assert (result.outcome, result.findings) == (Outcome.ACCEPTED, (Finding.CONFIRMS_CURRENT,))

    async def test_does_not_consume_the_id_of_a_refused_message(self, world):
        message = a_message(programme_code="not a code")
        (refused,) = await world.report(message)
        assert (refused.code, refused.field) == (Refusal.FIELD_INVALID, "programmeCode")
        (accepted,) = await world.report(replace(message, programme_code="25604"))
        assert accepted.outcome is Outcome.ACCEPTED

    async def test_keeps_a_late_message_without_effect(self, world):
        at = now() - HOUR
        message = a_message(status=Status.ENROLLED, occurred_at=at)
        late = replace(message, message_id=uuid4(), status=Status.RECEIVED, occurred_at=at - HOUR)
        (first,) = await world.report(message)
        (result,) = await world.report(late)
        assert result.outcome is Outcome.OUTDATED
        assert result.registration.status is Status.ENROLLED
        assert result.registration.last_confirmed_at == first.registration.last_confirmed_at
        assert await world.count("status_event") == 2
        await world.settled()
        assert await world.count("feed_entry") == 1  # CAMBO's, of the first

    async def test_lets_arrival_decide_between_equal_times(self, world):
        at = now() - HOUR
        message = a_message(occurred_at=at)
        same_time = replace(message, message_id=uuid4(), status=Status.OFFERED)
        results = await world.report(message, same_time)
        assert [one.outcome for one in results] == [Outcome.ACCEPTED, Outcome.ACCEPTED]
        assert results[0].registration.status is Status.OFFERED

    async def test_confirms_what_is_current_without_pushing(self, world):
        message = a_message(occurred_at=now() - 2 * HOUR)
        again = replace(message, message_id=uuid4(), occurred_at=now() - HOUR)
        (first,) = await world.report(message)
        (result,) = await world.report(again)
        assert result.findings == (Finding.CONFIRMS_CURRENT,)
        assert result.registration.status_since == message.occurred_at
        assert result.registration.last_confirmed_at > first.registration.last_confirmed_at
        assert await world.count("status_event") == 1
        between = replace(message, message_id=uuid4(), status=Status.OFFERED, occurred_at=now() - 1.5 * HOUR)
        (outdated,) = await world.report(between)
        assert outdated.outcome is Outcome.OUTDATED, "a confirmation moves the effective time"

    async def test_remembers_who_else_reported_and_the_region_that_only_a_later_message_tells(self, world):
        message = a_message(occurred_at=now() - 3 * HOUR)
        offered = replace(message, message_id=uuid4(), status=Status.OFFERED, occurred_at=now() - 2 * HOUR)
        enrolled = replace(
            message,
            message_id=uuid4(),
            status=Status.ENROLLED,
            occurred_at=now() - HOUR,
            leaving_school="00AH00",
        )
        (first,) = await world.report(message)
        await world.report(offered, by=world.cambo)
        (result,) = await world.report(enrolled)
        senders = world.sis.organisation_id, world.cambo.organisation_id
        assert (first.registration.reported_by, first.registration.region) == (senders[:1], None)
        assert (result.registration.reported_by, result.registration.region) == (senders, "12")

    async def test_shows_the_registration_of_a_known_message_as_the_batch_leaves_it(self, world):
        """Even where nobody asks for that of the step that comes with it."""
        message = a_message(occurred_at=now() - 2 * HOUR)
        await world.report(message)
        step = replace(message, message_id=uuid4(), status=Status.OFFERED, occurred_at=now() - HOUR)
        known, _ = await world.services.status_messages.report(world.sis, [message, step], shows=False)
        assert (known.outcome, known.registration.status) == (Outcome.DUPLICATE, Status.OFFERED)

    async def test_takes_other_data_under_the_same_status_for_a_change(self, world):
        message = a_message(occurred_at=now() - 2 * HOUR)
        moved = replace(message, message_id=uuid4(), learning_path=LearningPath.BBL, occurred_at=now() - HOUR)
        await world.report(message)
        (result,) = await world.report(moved)
        assert result.findings == ()
        assert result.registration.learning_path is LearningPath.BBL
        assert result.registration.status_since == message.occurred_at
        await world.settled()
        assert [change.kind for change in await world.hear(2, by=world.cambo)] == ["STATUS", "DATA"]

    async def test_flags_an_unknown_programme_and_an_unusual_step(self, world):
        message = a_message(programme_code="99999", status=Status.REJECTED)
        back = replace(message, message_id=uuid4(), status=Status.ENROLLED, occurred_at=now())
        results = await world.report(message, back)
        assert results[0].findings == (Finding.UNKNOWN_PROGRAMME,)
        assert results[1].findings == (Finding.UNKNOWN_PROGRAMME, Finding.UNUSUAL_STEP)

    @pytest.mark.parametrize(
        ("changed", "code", "field"),
        [
            ({"personal_number": "123456789"}, Refusal.PERSONAL_NUMBER_INVALID, None),
            ({"personal_number": FULL_WIDTH}, Refusal.PERSONAL_NUMBER_INVALID, None),
            ({"application_id": ""}, Refusal.FIELD_INVALID, "applicationId"),
            ({"application_id": "a\x00b"}, Refusal.FIELD_INVALID, "applicationId"),
            ({"application_id": "a" * 101}, Refusal.FIELD_INVALID, "applicationId"),
            ({"brin": "25lh"}, Refusal.FIELD_INVALID, "brin"),
            ({"brin": "25LH00"}, Refusal.FIELD_INVALID, "brin"),
            ({"programme_code": "256040000"}, Refusal.FIELD_INVALID, "programmeCode"),
            ({"school_year": 2015}, Refusal.FIELD_INVALID, "schoolYear"),
            ({"school_year": 2**31 - 1}, Refusal.FIELD_INVALID, "schoolYear"),
            ({"programme_year": 0}, Refusal.FIELD_INVALID, "programmeYear"),
            ({"leaving_school": "00AH"}, Refusal.FIELD_INVALID, "leavingSchool"),
            ({"brin": FOREIGN_BRIN}, Refusal.NO_MANDATE, None),
            ({"brin": "99ZZ"}, Refusal.NO_MANDATE, None),
            ({"occurred_at": now() + timedelta(hours=2)}, Refusal.IN_THE_FUTURE, None),
        ],
    )
    async def test_refuses_and_spoils_no_neighbour(self, world, changed, code, field):
        good = [a_message(), a_message()]
        results = await world.report(good[0], a_message(**changed), good[1])
        assert [one.outcome for one in results] == [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.ACCEPTED]
        assert (results[1].code, results[1].field, results[1].registration) == (code, field, None)
        assert await world.count("registration") == 2
        assert await world.count("refused_message") == 1

    async def test_refuses_an_institution_that_the_catalogue_does_not_know(self, world):
        (result,) = await world.report(a_message(brin="99ZZ"), by=world.cambo)
        assert result.code is Refusal.UNKNOWN_INSTITUTION

    async def test_refuses_another_institution_and_another_student(self, world):
        message = a_message()
        await world.report(message)
        later = {"occurred_at": now(), "application_id": message.application_id}
        elsewhere, somebody = await world.report(
            a_message(brin=OTHER_BRIN, personal_number=None, **later), a_message(**later)
        )
        assert elsewhere.code is Refusal.OTHER_INSTITUTION
        assert somebody.code is Refusal.OTHER_STUDENT
        assert await world.count("registration") == 1

    async def test_takes_a_time_a_little_ahead_and_judges_by_its_arrival(self, world):
        ahead = a_message(occurred_at=now() + timedelta(minutes=9))
        (first,) = await world.report(ahead)
        next_one = replace(ahead, message_id=uuid4(), status=Status.OFFERED, occurred_at=now())
        (result,) = await world.report(next_one)
        assert first.outcome is result.outcome is Outcome.ACCEPTED

    async def test_refuses_cambos_withdrawal_of_one_who_is_enrolled(self, world):
        message = a_message(status=Status.ENROLLED)
        withdrawn = replace(message, message_id=uuid4(), status=Status.WITHDRAWN, occurred_at=now())
        await world.report(message)
        (refused,) = await world.report(withdrawn, by=world.cambo)
        assert refused.code is Refusal.ALREADY_ENROLLED
        (accepted,) = await world.report(withdrawn)
        assert accepted.registration.status is Status.WITHDRAWN

    async def test_keeps_of_the_leaving_school_its_region_alone(self, world):
        await world.report(a_message(leaving_school="00AH00"), a_message(leaving_school="99ZZ00"))
        async with world.hub.database.connection() as connection:
            rows = await connection.fetch("select region from registration order by region")
        assert [row["region"] for row in rows] == ["12", None]

    async def test_writes_nothing_on_a_dry_run(self, world):
        message = a_message()
        results = await world.services.status_messages.report(
            world.sis, [message, a_message(brin="bad")], dry_run=True
        )
        assert [one.outcome for one in results] == [Outcome.ACCEPTED, Outcome.REFUSED]
        for table in ("registration", "status_event", "status_message", "refused_message", "student"):
            assert await world.count(table) == 0

    @pytest.mark.parametrize("count", [0, 1001])
    async def test_refuses_an_empty_or_too_long_batch(self, world, count):
        with pytest.raises(BadUserInputError):
            await world.report(*[a_message()] * count)
        assert await world.count("status_message") == 0

    async def test_refuses_a_transfer_system(self, world):
        with pytest.raises(ForbiddenError):
            await world.report(a_message(), by=world.os)

    async def test_loses_a_mandate_with_its_end(self, world):
        await world.services.clients.remove_mandate(world.sis.client_id, BRIN)
        (result,) = await world.report(a_message())
        assert result.code is Refusal.NO_MANDATE


class TestConcurrentBatches:
    async def test_take_50_equal_messages_at_once_as_one(self, world):
        message = a_message()
        results = await asyncio.gather(*(world.report(message) for _ in range(50)))
        outcomes = sorted(one.outcome for (one,) in results)
        assert outcomes == [Outcome.ACCEPTED, *[Outcome.DUPLICATE] * 49]
        assert await world.count("status_event") == 1

    async def test_neither_deadlock_nor_lose_one(self, world):
        random_source = random.Random(20261122)
        numbers = [a_personal_number(random_source) for _ in range(40)]
        at = now() - 24 * HOUR
        statuses = list(Status)

        def batch(step: int):
            chosen = random_source.sample(range(40), 25)
            return [
                a_message(
                    application_id=f"A-{index}",
                    personal_number=numbers[index],
                    status=random_source.choice(statuses),
                    occurred_at=at + timedelta(seconds=step),
                )
                for index in chosen
            ]

        batches = [batch(step) for step in range(30)]
        answers = await asyncio.gather(*(world.report(*messages) for messages in batches))
        assert all(one.outcome is not Outcome.REFUSED for results in answers for one in results)
        assert await world.count("status_message") == 30 * 25
        async with world.hub.database.connection() as connection:
            events = await connection.fetch(
                "select e.*, r.status as present from status_event e join registration r"
                " on r.id = e.registration_id where e.kind <> 'OUTDATED' order by e.registration_id, e.id"
            )
        last: dict[int, str] = {}
        for event in events:
            key = event["registration_id"]
            assert event["previous_status"] == last.get(key), "each change begins where the last one ended"
            last[key] = event["status"]
        assert all(last[event["registration_id"]] == event["present"] for event in events)


class TestCorrect:
    async def _correct(self, world, message, kind, **changed):
        correction = Correction(
            uuid4(), message.application_id, message.brin, kind, "a typing error", **changed
        )
        (result,) = await world.services.status_messages.correct(world.sis, [correction])
        return result

    async def test_annuls_for_everybody_but_the_sender(self, world):
        number = a_personal_number()
        message = a_message(personal_number=number)
        await world.report(message)
        await world.follow(number, "S-1")
        await world.settled()
        result = await self._correct(world, message, CorrectionKind.ANNUL)
        assert result.outcome is Outcome.ACCEPTED
        assert result.registration.annulled_by == world.sis.organisation_id
        (change,) = await world.hear(1)
        assert (change.kind, change.registration) == ("ANNULLED", None)
        assert change.application_id == message.application_id
        registrations = world.services.registrations
        key = result.registration.public_id
        assert await registrations.by_public_id(world.sis, key) is not None
        assert await registrations.by_public_id(world.os, key) is None
        assert await registrations.by_public_id(world.cambo, key) is None

    @pytest.mark.parametrize("shows", [True, False])
    async def test_annuls_until_another_status_comes(self, world, shows):
        message = a_message()
        await world.report(message)
        annulled = await self._correct(world, message, CorrectionKind.ANNUL)
        later = replace(message, message_id=uuid4(), status=Status.OFFERED, occurred_at=now())
        (result,) = await world.services.status_messages.report(world.sis, [later], shows=shows)
        assert (result.outcome, result.findings) == (Outcome.ACCEPTED, ())
        key = annulled.registration.public_id
        assert await world.services.registrations.by_public_id(world.cambo, key) is not None

    async def test_replaces_a_status_by_an_older_one(self, world):
        message = a_message(status=Status.ENROLLED, occurred_at=now() - HOUR)
        await world.report(message)
        result = await self._correct(
            world,
            message,
            CorrectionKind.REPLACE_STATUS,
            status=Status.OFFERED,
            occurred_at=now() - 30 * HOUR,
        )
        assert result.registration.status is Status.OFFERED

    async def test_moves_a_registration_to_the_right_student(self, world):
        wrong, right = a_personal_number(), a_personal_number()
        message = a_message(personal_number=wrong)
        await world.report(message)
        await world.follow(wrong, "wrong")
        await world.follow(right, "right", by=world.other_os)
        await world.settled()
        result = await self._correct(
            world, message, CorrectionKind.REPLACE_STUDENT, personal_number=PersonalNumber(right)
        )
        assert result.outcome is Outcome.ACCEPTED
        (lost,) = await world.hear(1)
        (found,) = await world.hear(1, by=world.other_os)
        assert (lost.kind, lost.reference, lost.registration) == ("ANNULLED", "wrong", None)
        assert (found.kind, found.reference) == ("CORRECTED", "right")
        assert found.registration.application_id == message.application_id

    async def test_refuses_what_it_does_not_know(self, world):
        unknown = await self._correct(world, a_message(), CorrectionKind.ANNUL)
        assert unknown.code is Refusal.UNKNOWN_REGISTRATION
        message = a_message()
        await world.report(message)
        incomplete = await self._correct(world, message, CorrectionKind.REPLACE_STATUS)
        assert (incomplete.code, incomplete.field) == (Refusal.FIELD_INVALID, "status")


class TestMessageResults:
    async def test_tell_what_became_of_ones_own_messages(self, world):
        accepted, refused = a_message(), a_message(brin="bad")
        await world.report(accepted, refused)
        ids = [accepted.message_id, refused.message_id, uuid4()]
        first, second, third = await world.services.status_messages.results(world.sis, ids)
        assert (first.outcome, first.registration.application_id) == (
            Outcome.ACCEPTED,
            accepted.application_id,
        )
        assert (second.outcome, second.code, second.field) == (
            Outcome.REFUSED,
            Refusal.FIELD_INVALID,
            "brin",
        )
        assert third is None
        assert await world.services.status_messages.results(world.cambo, ids) == [None, None, None]


def _short_bsn() -> str:
    """Return eight digits that are a BSN with a zero before them."""
    while True:
        digits = [0, 9, *(random.randrange(10) for _ in range(6))]
        check = sum(weight * digit for weight, digit in zip(range(9, 1, -1), digits, strict=True)) % 11
        if check < 10:
            return "".join(map(str, [*digits[1:], check]))
