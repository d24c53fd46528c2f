"""Following students: who is followed under which reference, until when, and what the snapshot promises."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from app.domain import codes
from app.domain.codes import Status
from app.domain.errors import BadUserInputError, ForbiddenError
from app.domain.following import FollowedFilter, FollowOutcome, default_until
from app.domain.registration import ChangeKind
from app.domain.status_message import Refusal
from app.services.following import FollowingService
from tests.factories.world import a_message, a_personal_number, a_student

DAY = timedelta(days=1)


def now():
    return datetime.now(UTC)


def at(world, moment):
    """Return the following service as it is at another moment."""
    own = world.services.following
    return FollowingService(own._database, own._keys, lambda: moment, vavo=False)


class TestFollow:
    async def test_shows_what_stands_for_the_student_under_the_callers_reference(self, quiet):
        number = a_personal_number()
        message = a_message(personal_number=number)
        await quiet.report(message, a_message())
        snapshot = await quiet.follow(number, "S-1")
        (result,) = snapshot.results
        assert (result.reference, result.outcome) == ("S-1", FollowOutcome.FOLLOWED)
        (registration,) = result.registrations
        assert (registration.application_id, registration.reference) == (message.application_id, "S-1")
        assert (snapshot.feed.last_number, snapshot.feed.earliest_number) == (0, 1)

    async def test_takes_a_student_of_whom_nothing_is_known(self, quiet):
        (result,) = (await quiet.follow(a_personal_number(), "S-1")).results
        assert (result.outcome, result.registrations) == (FollowOutcome.FOLLOWED, ())

    async def test_answers_a_repetition_with_what_stands_now(self, quiet):
        number = a_personal_number()
        await quiet.follow(number, "S-1")
        await quiet.report(a_message(personal_number=number))
        (result,) = (await quiet.follow(number, "S-1")).results
        assert (result.outcome, len(result.registrations)) == (FollowOutcome.ALREADY_FOLLOWED, 1)
        assert await quiet.count("follow") == 1

    async def test_refuses_a_second_reference_for_the_same_student(self, quiet):
        number = a_personal_number()
        await quiet.report(a_message(personal_number=number))
        await quiet.follow(number, "S-1")
        (result,) = (await quiet.follow(number, "S-2")).results
        assert (result.outcome, result.code) == (FollowOutcome.REFUSED, Refusal.REFERENCE_IN_USE)
        assert result.registrations == ()
        assert await quiet.count("follow") == 1

    async def test_refuses_the_same_reference_for_another_student(self, quiet):
        other = a_personal_number()
        await quiet.report(a_message(personal_number=other))
        await quiet.follow(a_personal_number(), "S-1")
        (result,) = (await quiet.follow(other, "S-1")).results
        assert (result.code, result.registrations) == (Refusal.REFERENCE_IN_USE, ())

    async def test_holds_to_the_same_rules_within_one_batch(self, quiet):
        one, two = a_personal_number(), a_personal_number()
        snapshot = await quiet.services.following.follow(
            quiet.os,
            [a_student(one, "S-1"), a_student(one, "S-1"), a_student(one, "S-2"), a_student(two, "S-1")],
        )
        refused = (FollowOutcome.REFUSED, Refusal.REFERENCE_IN_USE)
        assert [(result.outcome, result.code) for result in snapshot.results] == [
            (FollowOutcome.FOLLOWED, None),
            (FollowOutcome.ALREADY_FOLLOWED, None),
            refused,
            refused,
        ]
        assert await quiet.count("follow") == 1

    async def test_keeps_references_of_organisations_apart(self, quiet):
        number = a_personal_number()
        await quiet.follow(number, "S-1")
        for wish in (a_student(number, "S-2"), a_student(a_personal_number(), "S-1")):
            (result,) = (await quiet.services.following.follow(quiet.other_os, [wish])).results
            assert result.outcome is FollowOutcome.FOLLOWED

    async def test_is_shared_by_the_clients_of_one_organisation(self, quiet):
        number = a_personal_number()
        await quiet.follow(number, "S-1")
        colleague = await quiet.principal(quiet.os.role, oin=quiet.os.oin)
        (result,) = (await quiet.follow(number, "S-1", by=colleague)).results
        assert result.outcome is FollowOutcome.ALREADY_FOLLOWED

    async def test_refuses_what_is_no_personal_number_and_spoils_no_neighbour(self, quiet):
        wrong = ["123456789", "", "99999034", "\uff19" * 9, "9999903\x002", "x" * 500]
        snapshot = await quiet.services.following.follow(
            quiet.os,
            [*(a_student(number, "S-1") for number in wrong), a_student(a_personal_number(), "S-2")],
        )
        *refused, followed = snapshot.results
        assert {(one.outcome, one.code) for one in refused} == {
            (FollowOutcome.REFUSED, Refusal.PERSONAL_NUMBER_INVALID)
        }
        assert followed.outcome is FollowOutcome.FOLLOWED
        assert await quiet.count("student") == 1

    async def test_refuses_what_cannot_be_a_reference(self, quiet):
        wrong = ["", "a\x00b", "a\nb", "\ud800", "\u2028", "\x85", "r" * 101]
        snapshot = await quiet.services.following.follow(
            quiet.os, [a_student(a_personal_number(), reference) for reference in wrong]
        )
        assert {(one.outcome, one.code, one.field) for one in snapshot.results} == {
            (FollowOutcome.REFUSED, Refusal.FIELD_INVALID, "reference")
        }
        for reference in wrong:
            assert await quiet.services.following.followed_student(quiet.os, reference) is None
        assert await quiet.services.following.unfollow(quiet.os, wrong) == ([], wrong)

    async def test_gives_back_odd_references_as_they_were(self, quiet):
        odd = ["'; drop table follow; --", "50%_\\", "é", "e\u0301", "😀", " ", "S-1", "s-1", "٣", "\u202e1"]
        await quiet.services.following.follow(
            quiet.os, [a_student(a_personal_number(), name) for name in odd]
        )
        listed = await quiet.services.following.followed_students(quiet.os, "", 100)
        assert sorted(one.reference for one in listed) == sorted(odd)
        assert await quiet.services.following.unfollow(quiet.os, odd) == (odd, [])

    async def test_refuses_an_empty_or_too_long_batch(self, quiet):
        for count in (0, 1001):
            with pytest.raises(BadUserInputError):
                await quiet.services.following.follow(
                    quiet.os, [a_student(a_personal_number(), "S-1")] * count
                )
            with pytest.raises(BadUserInputError):
                await quiet.services.following.unfollow(quiet.os, ["S-1"] * count)
        assert await quiet.count("follow") == 0

    async def test_refuses_everybody_but_transfer_systems(self, quiet):
        for caller in (quiet.sis, quiet.cambo, quiet.institution):
            with pytest.raises(ForbiddenError):
                await quiet.follow(a_personal_number(), "S-1", by=caller)
            with pytest.raises(ForbiddenError):
                await quiet.services.following.unfollow(caller, ["S-1"])
        assert await quiet.count("follow") == 0

    async def test_survives_many_at_once_that_want_the_same(self, quiet):
        number = a_personal_number()
        snapshots = await asyncio.gather(*(quiet.follow(number, f"S-{index % 2}") for index in range(20)))
        outcomes = [snapshot.results[0].outcome for snapshot in snapshots]
        assert outcomes.count(FollowOutcome.FOLLOWED) == 1
        assert outcomes.count(FollowOutcome.REFUSED) == 10
        assert await quiet.count("follow") == 1


class TestUntil:
    @pytest.mark.parametrize(
        ("today", "until"),
        [
            (date(2026, 9, 30), date(2026, 12, 31)),
            (date(2026, 10, 1), date(2027, 12, 31)),
            (date(2026, 12, 31), date(2027, 12, 31)),
            (date(2027, 1, 1), date(2027, 12, 31)),
        ],
    )
    def test_is_by_default_the_end_of_the_year_of_the_transition(self, today, until):
        assert default_until(today) == until

    async def test_is_kept_as_asked_for_and_moved_on_demand(self, quiet):
        number, day = a_personal_number(), codes.today(now()) + 10 * DAY
        await quiet.follow(number, "S-1")
        followed = await quiet.services.following.followed_student(quiet.os, "S-1")
        assert followed.until == default_until(codes.today(now()))
        for wanted in (day, day - 5 * DAY):
            await quiet.follow(number, "S-1", until=wanted)
            assert (await quiet.services.following.followed_student(quiet.os, "S-1")).until == wanted
        await quiet.follow(number, "S-1")
        assert (await quiet.services.following.followed_student(quiet.os, "S-1")).until == day - 5 * DAY

    async def test_is_not_forgotten_for_a_later_wish_of_the_same_batch(self, quiet):
        number, day = a_personal_number(), codes.today(now()) + 10 * DAY
        await quiet.follow(number, "S-1")
        await quiet.services.following.follow(
            quiet.os, [a_student(number, "S-1", until=day), a_student(number, "S-1", leaving_school="00AH00")]
        )
        assert (await quiet.services.following.followed_student(quiet.os, "S-1")).until == day

    async def test_may_be_today_and_not_before(self, quiet):
        today = codes.today(now())
        (refused,) = (await quiet.follow(a_personal_number(), "S-1", until=today - DAY)).results
        assert (refused.code, refused.field) == (Refusal.FIELD_INVALID, "until")
        (followed,) = (await quiet.follow(a_personal_number(), "S-1", until=today)).results
        assert followed.outcome is FollowOutcome.FOLLOWED

    async def test_is_inclusive_by_the_clock_of_amsterdam(self, quiet):
        number = a_personal_number()
        await quiet.follow(number, "S-1", until=date(2027, 6, 30))
        # 22:00 UTC is midnight of a Dutch summer.
        before, after = datetime(2027, 6, 30, 21, 59, tzinfo=UTC), datetime(2027, 6, 30, 22, 0, tzinfo=UTC)
        assert await at(quiet, before).followed_student(quiet.os, "S-1") is not None
        assert await at(quiet, after).followed_student(quiet.os, "S-1") is None
        assert await at(quiet, after).followed_students(quiet.os, "", 10) == []
        assert await at(quiet, after).unfollow(quiet.os, ["S-1"]) == ([], ["S-1"])

    async def test_frees_reference_and_student_when_it_has_passed(self, quiet):
        number = a_personal_number()
        await quiet.follow(number, "S-1", until=date(2027, 6, 30))
        later = at(quiet, datetime(2027, 7, 1, 12, tzinfo=UTC))
        snapshot = await later.follow(
            quiet.os, [a_student(number, "S-2"), a_student(a_personal_number(), "S-1")]
        )
        assert [result.outcome for result in snapshot.results] == [FollowOutcome.FOLLOWED] * 2

    async def test_ends_delivery(self, world):
        number = a_personal_number()
        message = a_message(personal_number=number)
        await world.follow(number, "S-1", until=codes.today(now()))
        await world.report(message)
        (change,) = await world.hear(1)
        assert (change.kind, change.reference) == (ChangeKind.STATUS, "S-1")
        async with world.hub.database.connection() as connection:
            await connection.execute("update follow set until = current_date - 2")
        await world.report(replace(message, message_id=uuid4(), status=Status.OFFERED, occurred_at=now()))
        await world.settled()
        (hidden,) = (await world.services.feed.page(world.os, 0, 10)).changes
        assert hidden.kind is ChangeKind.HIDDEN


class TestUnfollow:
    async def test_names_what_was_followed_and_what_was_not(self, quiet):
        await quiet.follow(a_personal_number(), "S-1")
        unfollowed = await quiet.services.following.unfollow(quiet.os, ["S-1", "S-2", "S-1"])
        assert unfollowed == (["S-1"], ["S-2"])
        assert await quiet.services.following.unfollow(quiet.os, ["S-1"]) == ([], ["S-1"])

    async def test_leaves_the_follows_of_others_alone(self, quiet):
        number = a_personal_number()
        await quiet.follow(number, "S-1")
        await quiet.follow(number, "S-1", by=quiet.other_os)
        await quiet.services.following.unfollow(quiet.os, ["S-1"])
        assert await quiet.services.following.followed_student(quiet.other_os, "S-1") is not None

    async def test_hides_and_following_again_revives_nothing(self, world):
        number = a_personal_number()
        message = a_message(personal_number=number)
        await world.follow(number, "S-1")
        await world.report(message)
        await world.settled()
        await world.services.following.unfollow(world.os, ["S-1"])
        await world.report(replace(message, message_id=uuid4(), status=Status.OFFERED, occurred_at=now()))
        await world.settled()
        snapshot = await world.follow(number, "again")
        assert snapshot.feed.last_number == 1
        assert snapshot.results[0].registrations[0].status is Status.OFFERED
        await world.report(replace(message, message_id=uuid4(), status=Status.ENROLLED, occurred_at=now()))
        first, second = await world.hear(2)
        assert (first.number, first.kind) == (1, ChangeKind.HIDDEN)
        for name in ("reference", "application_id", "registration", "status", "previous_status", "source"):
            assert getattr(first, name) is None, name
        assert first.occurred_at is None
        assert (second.number, second.kind, second.reference) == (2, ChangeKind.STATUS, "again")

    async def test_takes_effect_on_what_was_not_yet_numbered(self, open_world):
        quiet = await open_world(background=False)
        await quiet.furnish()
        number = a_personal_number()
        await quiet.follow(number, "S-1")
        await quiet.report(a_message(personal_number=number))
        await quiet.services.following.unfollow(quiet.os, ["S-1"])
        await open_world()
        await quiet.settled()
        assert (await quiet.services.feed.position(quiet.os)).last_number == 0


class TestFollowedStudents:
    async def test_come_in_pages_in_the_order_of_their_references(self, quiet):
        references = [f"S-{index:02}" for index in range(7)]
        await quiet.services.following.follow(
            quiet.os, [a_student(a_personal_number(), reference) for reference in references]
        )
        found, after = [], ""
        while page := await quiet.services.following.followed_students(quiet.os, after, 3):
            found += [one.reference for one in page]
            after = found[-1]
        assert found == references

    async def test_can_be_asked_for_those_without_a_live_registration(self, quiet):
        live, ended, unknown = (a_personal_number() for _ in range(3))
        await quiet.report(
            a_message(personal_number=live), a_message(personal_number=ended, status=Status.REJECTED)
        )
        await quiet.services.following.follow(
            quiet.os, [a_student(live, "live"), a_student(ended, "ended"), a_student(unknown, "unknown")]
        )

        async def asked(**filters):
            found = await quiet.services.following.followed_students(
                quiet.os, "", 10, FollowedFilter(**filters)
            )
            return [one.reference for one in found]

        assert await asked(without_live_registration=True) == ["ended", "unknown"]
        assert await asked(without_live_registration=False) == ["live"]
        assert await asked(without_live_registration=True, school_year=2025) == ["ended", "live", "unknown"]
        assert await asked(school_year=2026) == ["ended", "live"]


class TestSnapshot:
    async def test_has_a_number_for_every_change_that_it_does_not_show(self, world):
        """Writers change registrations while a transfer system begins to follow their students."""
        random_source = random.Random(20261122)
        numbers = [a_personal_number(random_source) for _ in range(60)]
        statuses, begun = list(Status), now() - DAY
        following = asyncio.Event()

        async def write(own):
            step = 0
            while not following.is_set() or step < 3:
                step += 1
                await world.report(
                    *(
                        a_message(
                            application_id=f"A-{number}",
                            personal_number=number,
                            status=statuses[step % len(statuses)],
                            occurred_at=begun + timedelta(seconds=step),
                        )
                        for number in own
                    )
                )

        async def follow():
            taken = []
            for number in numbers:
                snapshot = await world.follow(number, number)
                taken.append((snapshot.results[0], snapshot.feed.last_number))
            following.set()
            return taken

        taken, *_ = await asyncio.gather(follow(), *(write(numbers[part::3]) for part in range(3)))
        await world.settled()
        position = await world.services.feed.position(world.os)
        changes = await world.services.feed.changes(world.os.organisation_id, 0, position.last_number + 1)
        assert [change.number for change in changes] == list(range(1, position.last_number + 1))
        async with world.hub.database.connection() as connection:
            events = await connection.fetch(
                "select r.application_id, e.status, e.occurred_at from status_event e"
                " join registration r on r.id = e.registration_id where e.kind <> 'OUTDATED' order by e.id"
            )
        for result, last_number in taken:
            application_id = f"A-{result.reference}"
            shown = result.registrations[0].status_since if result.registrations else None
            unseen = [
                event["occurred_at"]
                for event in events
                if event["application_id"] == application_id
                and (shown is None or event["occurred_at"] > shown)
            ]
            above = {
                change.occurred_at
                for change in changes
                if change.number > last_number and change.application_id == application_id
            }
            assert above.issuperset(unseen)
        assert any(last_number for _, last_number in taken), "the snapshots were taken among numbers"
