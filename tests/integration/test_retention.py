"""Students whose time is over, who want to be forgotten, and who come back with a backup."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from app.domain import codes
from app.domain.codes import Status
from app.domain.errors import BadUserInputError, ConflictError, CursorExpiredError, UnavailableError
from app.domain.personal_number import PersonalNumber
from app.domain.registration import ChangeKind
from app.domain.retention import RetentionRule
from app.domain.status_message import Outcome
from app.services.removal_ledger import LedgerError, read_removals
from app.services.restoring import ADVANCE, RestoreCheck
from app.services.retention import RetentionService, Swept
from tests.factories.world import a_message, a_personal_number

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
OF_STUDENTS = ("student", "registration", "status_event", "follow")


def now():
    return datetime.now(UTC)


@pytest.fixture
def settings(settings, tmp_path):
    return settings.model_copy(update={"removal_ledger_file": tmp_path / "ledger" / "removals.jsonl"})


@pytest.fixture
def ledger(settings):
    return settings.removal_ledger_file


@pytest.fixture
def sweep_in(world, settings, ledger):
    """Sweep as if so many days had passed."""

    async def swept(days: float) -> Swept:
        service = RetentionService(
            world.hub.database,
            world.services.retention._keys,
            lambda: now() + days * DAY,
            lambda: None,
            rule=RetentionRule(settings.retention_days * DAY, settings.removal_notice_days * DAY),
            ledger=ledger,
        )
        return await service.sweep()

    return swept


async def of_students(world):
    """Return how many rows there are about students."""
    return {table: await world.count(table) for table in OF_STUDENTS}


def everything(rows):
    return dict.fromkeys(OF_STUDENTS, rows)


class TestSweep:
    async def test_tells_cambo_and_nobody_else_then_removes_everything(self, world, sweep_in):
        number = a_personal_number()
        await world.follow(number, "S-1", until=(now() + 900 * DAY).date())
        message = a_message(personal_number=number)
        await world.report(message)
        await world.settled()
        assert await sweep_in(336) == Swept(1, 0, 0)
        assert await sweep_in(338) == Swept(1, 1, 0)
        assert await sweep_in(339) == Swept(1, 0, 0)
        await world.settled()
        _, told = await world.hear(2, world.cambo)
        assert (told.number, told.kind, told.application_id) == (
            2,
            ChangeKind.REMOVAL_ANNOUNCED,
            message.application_id,
        )
        assert told.registration.status is Status.RECEIVED
        assert timedelta(days=365) <= told.occurred_at - now() <= timedelta(days=367)
        assert (await world.services.feed.position(world.os)).last_number == 1
        assert await sweep_in(368) == Swept(1, 0, 1)
        assert await of_students(world) == everything(0)
        assert await world.count("security_record where event = 'STUDENTS_REMOVED' and count = 1") == 1
        assert [one.kind for one in await world.hear(2, world.cambo)] == [ChangeKind.HIDDEN] * 2
        assert [one.kind for one in await world.hear(1)] == [ChangeKind.HIDDEN]

    async def test_keeps_who_changed_after_the_announcement(self, world, sweep_in):
        number = a_personal_number()
        message = a_message(personal_number=number)
        await world.report(message)
        assert (await sweep_in(340)).announced == 1
        later = a_message(
            personal_number=number, application_id=message.application_id, status=Status.OFFERED,
            occurred_at=now(),
        )  # fmt: skip
        await world.report(later)
        assert await sweep_in(336) == Swept(1, 0, 0)
        assert (await sweep_in(369)).removed == 0
        assert (await world.count("registration")) == 1

    async def test_leaves_those_alone_whose_time_is_not_over(self, world, sweep_in):
        numbers = [a_personal_number() for _ in range(3)]
        await world.report(*(a_message(personal_number=number) for number in numbers))
        await age(world, *numbers[:2])
        assert (await sweep_in(0)).announced == 2
        assert (await sweep_in(29)).removed == 2
        assert await of_students(world) == everything(1) | {"follow": 0}

    async def test_removes_who_has_no_registration_and_is_no_longer_followed(self, world, sweep_in):
        await world.follow(a_personal_number(), "S-1", until=codes.today(now()))
        assert (await sweep_in(300)).removed == 0
        assert (await sweep_in(367)).removed == 1
        assert await of_students(world) == everything(0)

    async def test_changes_no_figure(self, world, sweep_in):
        shared = a_personal_number()
        for brin in ("25LH", "25GV"):
            await world.report(
                *(a_message(brin=brin) for _ in range(6)), a_message(brin=brin, personal_number=shared)
            )
        await world.services.statistics.refresh()
        before = await figures(world)
        assert (await sweep_in(340)).announced == 13
        assert (await sweep_in(369)).removed == 13
        await world.services.statistics.refresh()
        assert await figures(world) == before
        assert await of_students(world) == everything(0)


async def age(world, *numbers):
    """Let what was reported of these students have been reported two years ago."""
    keys = world.services.retention._keys.latest()
    async with world.hub.database.connection() as connection:
        await connection.execute(
            "update status_event set recorded_at = recorded_at - interval '2 years' where student_id in"
            " (select id from student where pseudonym = any($1::bytea[]))",
            [keys.pseudonym(number) for number in numbers],
        )


async def figures(world):
    """Return the figures of all registrations, without their times."""
    found = await world.services.statistics.multiple_registrations(world.cambo, None, 2026)
    assert found.total.registrations.value == 14
    total = found.total
    counts = (total.registrations, total.live, total.multiple, total.multiple_live, total.students)
    return [(count.value, count.display) for count in counts]


class TestErase:
    async def test_removes_everything_at_once(self, world, ledger):
        number, other = a_personal_number(), a_personal_number()
        await world.follow(number, "S-1")
        message = a_message(personal_number=number)
        await world.report(message, a_message(personal_number=other))
        await world.settled()
        assert await world.services.retention.erase(world.cambo, PersonalNumber(number))
        assert await of_students(world) == everything(1) | {"follow": 0}
        assert [one.kind for one in await world.hear(1)] == [ChangeKind.HIDDEN]
        (line,) = ledger.read_text(encoding="utf-8").splitlines()
        assert number not in line
        assert set(json.loads(line)) == {"pseudonym", "keyVersion", "removedAt"}

    async def test_says_when_nothing_is_known(self, world, ledger):
        assert not await world.services.retention.erase(world.cambo, PersonalNumber(a_personal_number()))
        assert not ledger.exists()

    async def test_refuses_what_is_no_personal_number(self, world):
        with pytest.raises(BadUserInputError) as refusal:
            await world.services.retention.erase(world.cambo, PersonalNumber("123456789"))
        assert refusal.value.field == "input.personalNumber"

    async def test_lets_a_later_message_begin_anew_and_an_old_one_be_a_duplicate(self, world):
        number = a_personal_number()
        first = a_message(personal_number=number)
        await world.report(first)
        await world.services.retention.erase(world.cambo, PersonalNumber(number))
        (again,) = await world.report(first)
        assert (again.outcome, again.registration) == (Outcome.DUPLICATE, None)
        (new,) = await world.report(
            a_message(personal_number=number, application_id=first.application_id, occurred_at=now())
        )
        assert new.outcome is Outcome.ACCEPTED
        assert await world.count("registration") == 1

    async def test_removes_nothing_when_the_ledger_cannot_be_written(self, world, ledger):
        number = a_personal_number()
        await world.report(a_message(personal_number=number))
        ledger.parent.write_text("a file where a folder should be", encoding="utf-8")
        with pytest.raises(UnavailableError):
            await world.services.retention.erase(world.cambo, PersonalNumber(number))
        assert await world.count("registration") == 1

    async def test_loses_no_message_that_comes_at_the_same_time(self, world):
        number = a_personal_number()
        applications = [f"R-{index}" for index in range(4)]

        async def report(step: int) -> None:
            for application in applications:
                (result,) = await world.report(
                    a_message(
                        personal_number=number,
                        application_id=application,
                        occurred_at=now() - DAY + timedelta(seconds=step),
                        status=(Status.RECEIVED, Status.OFFERED)[step % 2],
                    )
                )
                assert result.outcome is Outcome.ACCEPTED

        async def follow(step: int) -> None:
            await world.follow(number, f"S-{step}", by=(world.os, world.other_os)[step % 2])

        async def erase() -> None:
            await world.services.retention.erase(world.cambo, PersonalNumber(number))

        for step in range(12):
            await asyncio.gather(report(2 * step), erase(), report(2 * step + 1), return_exceptions=False)
            await asyncio.gather(erase(), *(world.services.following.unfollow(one, [f"S-{step}"])
                                            for one in (world.os, world.other_os)))  # fmt: skip
            await asyncio.gather(follow(step), erase())
            await erase()
            assert await of_students(world) == everything(0)


class TestRestoreCheck:
    async def test_moves_feeds_on_and_removes_again_who_was_removed(self, open_world, settings, ledger):
        world = await open_world(background=False)
        await world.furnish()
        gone, kept, back = (a_personal_number() for _ in range(3))
        first = a_message(personal_number=back)
        await world.follow(gone, "S-1")
        await world.report(a_message(personal_number=gone), a_message(personal_number=kept), first)
        erase = world.services.retention.erase
        for number in (gone, back):
            await erase(world.cambo, PersonalNumber(number))
        assert len(list(read_removals(ledger))) == 2
        lines = ledger.read_text(encoding="utf-8")
        # One was reported again after the removal; the other one comes back as the backup had it.
        await world.report(a_message(personal_number=back), a_message(personal_number=gone))
        await age(world, gone)
        keys = world.services.retention._keys.latest()
        check = RestoreCheck(world.hub.database, keys, now)
        done = await check.run([ledger])
        assert (done.feeds, done.students) == (await world.count("feed"), 1)
        assert await world.count("registration") == 2
        assert ledger.read_text(encoding="utf-8") == lines
        position = await world.services.feed.position(world.os)
        assert (position.last_number, position.earliest_number) == (ADVANCE, ADVANCE + 1)
        with pytest.raises(CursorExpiredError):
            await world.services.feed.page(world.os, 0, 10)
        assert await world.count("feed_entry") == 0

    async def test_refuses_while_a_hub_is_at_work(self, world, ledger):
        await world.report(a_message())
        await world.settled()
        check = RestoreCheck(world.hub.database, world.services.retention._keys.latest(), now)
        with pytest.raises(ConflictError):
            await check.run([])
        assert (await world.services.feed.position(world.cambo)).last_number == 1

    def test_says_which_line_of_a_ledger_is_damaged(self, tmp_path):
        damaged = tmp_path / "removals.jsonl"
        line = {"pseudonym": "00" * 32, "keyVersion": 1, "removedAt": now().isoformat()}
        damaged.write_text(f"{json.dumps(line)}\n{{\n{json.dumps(line)}\n", encoding="utf-8")
        with pytest.raises(LedgerError, match="line 2"):
            list(read_removals(damaged))

    def test_passes_over_a_line_that_was_never_finished(self, tmp_path):
        broken_off = tmp_path / "removals.jsonl"
        broken_off.write_text('{"pseudonym": "00', encoding="utf-8")
        assert list(read_removals(broken_off)) == []
