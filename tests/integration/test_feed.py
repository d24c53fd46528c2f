"""The way of a change to its receivers: numbers, replay and live, rights."""

import asyncio
import random
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.bootstrap import clock
from app.domain.codes import Status
from app.domain.errors import BadUserInputError, CursorAheadError, ForbiddenError
from app.domain.registration import ChangeKind
from app.feed.reader import FeedReader
from app.feed.subscription import FeedSubscription
from app.persistence.numbering import NumberingConnection
from tests.factories.feed import append_event, now, number_pending, numbers, steps, whole_feed
from tests.factories.world import a_message, a_personal_number, a_student

if TYPE_CHECKING:
    from app.domain.feed import StatusChange


# Who reads in between is let through, and waits again the next time.
_LOCK_AGAIN_AND_AGAIN = """
do $$ begin loop
  lock table feed_entry;
  perform pg_sleep(1.2);
  commit;
end loop; end $$
"""


class TestNumbers:
    async def test_run_from_1_without_holes_for_each_receiver(self, world):
        random_source = random.Random(20261122)
        students = [a_personal_number(random_source) for _ in range(30)]
        await world.services.following.follow(world.os, [a_student(one, one) for one in students[:20]])
        await world.services.following.follow(world.other_os, [a_student(one, one) for one in students[10:]])
        batches = [
            [a_message(personal_number=one) for one in random_source.sample(students, 12)] for _ in range(20)
        ]
        await asyncio.gather(*(world.report(*batch) for batch in batches))
        await world.settled()
        reported = [message.personal_number.digits() for batch in batches for message in batch]
        for receiver, followed in ((world.os, students[:20]), (world.other_os, students[10:])):
            changes = await whole_feed(world, receiver)
            assert numbers(changes) == list(range(1, sum(one in followed for one in reported) + 1))
            assert {change.reference for change in changes} <= set(followed)
        assert numbers(await whole_feed(world, world.cambo)) == list(range(1, 241))

    async def test_go_on_over_more_events_than_one_round_takes(self, quiet):
        for _ in range(2):
            await quiet.report(*(a_message() for _ in range(800)))
        async with NumberingConnection.open(quiet.hub.database) as numbering:
            rounds = [await number_pending(numbering) for _ in range(3)]
        assert [done.events for done in rounds] == [1000, 600, 0]
        async with quiet.hub.database.connection() as connection:
            rows = await connection.fetch("select number, event_id, batch from feed_entry order by number")
        assert [row["number"] for row in rows] == list(range(1, 1601))
        assert [row["event_id"] for row in rows] == sorted(row["event_id"] for row in rows)
        assert len({row["batch"] for row in rows}) == 2

    async def test_keep_the_order_of_each_registration_under_concurrent_writers(self, world):
        chains = [steps(40) for _ in range(4)]
        random_source = random.Random(7)
        mixed = [message for chain in chains for message in chain]
        random_source.shuffle(mixed)
        await asyncio.gather(*(world.report(*mixed[part::16]) for part in range(16)))
        await world.settled()
        last: dict[str, Status | None] = {}
        changes = await whole_feed(world, world.cambo)
        for change in changes:
            assert change.previous_status is last.get(change.application_id)
            last[change.application_id] = change.status
        assert len(last) == 4
        assert all(
            change.registration.status is last[change.application_id]
            for change in changes
            if change.registration
        )

    async def test_are_never_given_twice_by_two_that_number_at_once(self, quiet):
        await quiet.report(*(a_message() for _ in range(300)))

        async def work():
            async with NumberingConnection.open(quiet.hub.database) as numbering:
                while (await number_pending(numbering, size=7)).events:
                    pass

        await asyncio.gather(*(work() for _ in range(3)))
        changes = await whole_feed(quiet, quiet.cambo)
        assert numbers(changes) == list(range(1, 301))
        assert len({change.application_id for change in changes}) == 300


class TestCommitOrder:
    async def test_against_the_order_of_ids_loses_nothing(self, world, connect):
        await world.report(a_message())
        early, late = await connect(), await connect()
        first, second = early.transaction(), late.transaction()
        await first.start()
        await second.start()
        lower, higher = await append_event(early), await append_event(late)
        assert lower < higher
        await second.commit()
        assert numbers(await world.hear(2, by=world.cambo)) == [1, 2]
        await first.commit()
        assert numbers(await world.hear(3, by=world.cambo)) == [1, 2, 3]
        rows = await late.fetch("select event_id from feed_entry order by number")
        assert [row["event_id"] for row in rows][1:] == [higher, lower]

    async def test_of_a_writer_that_holds_its_transaction_open_holds_up_nobody(self, world, connect):
        await world.report(a_message())
        slow = await connect()
        transaction = slow.transaction()
        await transaction.start()
        held = await append_event(slow)
        for _ in range(5):
            await world.report(a_message())
            await world.settled()
        assert (await world.services.feed.position(world.cambo)).last_number == 6
        await transaction.commit()
        assert numbers(await world.hear(7, by=world.cambo)) == list(range(1, 8))
        assert await slow.fetchval("select number from feed_entry where event_id = $1", held) == 7

    async def test_of_two_writers_of_one_registration_is_the_order_of_their_events(self, quiet, connect):
        message = a_message()
        await quiet.report(message)
        first = await connect()
        transaction = first.transaction()
        await transaction.start()
        await first.fetch("select * from registration for update")
        waiting = asyncio.create_task(
            quiet.report(
                replace(message, message_id=uuid4(), status=Status.REJECTED, occurred_at=now()),
            )
        )
        # Only once the second writer stands in line is the first one's event drawn.
        watcher = await connect()
        async with asyncio.timeout(10):
            while not await watcher.fetchval(  # noqa: ASYNC110 - locks ring no bell
                "select count(*) from pg_locks l join pg_stat_activity a using (pid)"
                " where not l.granted and a.datname = current_database()"
            ):
                await asyncio.sleep(0.01)
        drawn = await append_event(first)
        await transaction.commit()
        await waiting
        newest = await watcher.fetchrow("select id, status from status_event order by id desc limit 1")
        assert newest["id"] > drawn
        assert newest["status"] == "REJECTED"


class TestReplay:
    async def test_joins_live_without_a_seam_from_any_number(self, world):
        """Subscriptions begin everywhere in a feed while it grows."""
        total = 450
        ready = asyncio.Event()

        async def write():
            for _ in range(15):
                await world.report(*(a_message() for _ in range(10)))
            ready.set()
            for _ in range(300):
                await world.report(a_message())

        async def hear(after):
            await ready.wait()
            await asyncio.sleep(after / 100)
            return await world.hear(total - after, by=world.cambo, after=after, seconds=60)

        writing = asyncio.create_task(write())
        heard = await asyncio.gather(*(hear(after) for after in range(0, 150, 6)))
        await writing
        whole = {change.number: change.application_id for change in await whole_feed(world, world.cambo)}
        assert list(whole) == list(range(1, total + 1))
        for after, changes in zip(range(0, 150, 6), heard, strict=True):
            assert numbers(changes) == list(range(after + 1, total + 1))
            assert all(whole[change.number] == change.application_id for change in changes)

    async def test_without_a_number_is_live_only(self, world):
        await world.report(a_message())
        await world.settled()
        async with aclosing(world.services.subscription.changes(world.cambo, None)) as changes:
            waiting = asyncio.create_task(anext(changes))
            await asyncio.sleep(0.05)
            await world.report(a_message())
            assert (await asyncio.wait_for(waiting, 10)).number == 2

    async def test_gives_to_one_who_comes_back_at_random_moments_the_whole_feed(self, world):
        random_source = random.Random(4)

        async def write():
            for _ in range(120):
                await world.report(a_message())

        writing = asyncio.create_task(write())
        seen: list[StatusChange] = []
        while len(seen) < 120:
            wanted = min(random_source.randrange(1, 15), 120 - len(seen))
            seen += await world.hear(wanted, by=world.cambo, after=len(seen))
        await writing
        assert numbers(seen) == list(range(1, 121))

    async def test_asks_the_table_no_more_once_it_is_live(self, world):
        reads = []

        class Reader(FeedReader):
            async def changes(self, *arguments, **options):
                reads.append(arguments)
                return await super().changes(*arguments, **options)

        own = world.services.subscription
        subscription = FeedSubscription(Reader(world.hub.database, clock, vavo=False), own.tail)
        async with aclosing(subscription.changes(world.cambo, 0)) as changes:
            for number in range(1, 101):
                await world.report(a_message())
                assert (await asyncio.wait_for(anext(changes), 10)).number == number
        assert len(reads) <= 5

    async def test_goes_on_where_each_look_into_the_table_takes_long(self, quiet, connect):
        """Everybody comes back at once and waits for a connection, say; here a lock keeps them waiting."""
        await quiet.report(*(a_message() for _ in range(3)))
        async with NumberingConnection.open(quiet.hub.database) as numbering:
            await number_pending(numbering)
        holding = asyncio.create_task((await connect()).execute(_LOCK_AGAIN_AND_AGAIN))
        await asyncio.sleep(0.1)
        assert numbers(await quiet.hear(3, by=quiet.cambo, seconds=8)) == [1, 2, 3]
        holding.cancel()

    async def test_refuses_numbers_that_cannot_be_gone_on_from(self, world):
        await world.report(a_message(), a_message())
        await world.settled()
        for after, error in ((-1, BadUserInputError), (3, CursorAheadError), (2**31 - 1, CursorAheadError)):
            with pytest.raises(error):
                await world.hear(1, by=world.cambo, after=after)
            with pytest.raises(error):
                await world.services.feed.page(world.cambo, after, 1)
        with pytest.raises(CursorAheadError):
            await world.hear(1, by=world.os, after=2)
        for caller in (world.sis, world.institution):
            with pytest.raises(ForbiddenError):
                await world.hear(1, by=caller)


class TestPages:
    async def test_of_any_size_hold_the_same_feed(self, world):
        await world.report(*(a_message() for _ in range(50)))
        await world.settled()
        for size in (1, 7, 49, 50, 1000):
            found: list[StatusChange] = []
            more = True
            while more:
                page = await world.services.feed.page(world.cambo, len(found), size)
                found += page.changes
                more = page.has_next_page
                assert page.feed.last_number == 50
            assert numbers(found) == list(range(1, 51))
        last = await world.services.feed.page(world.cambo, 50, 10)
        assert (last.changes, last.has_next_page) == ((), False)

    async def test_have_1_to_1000_changes(self, quiet):
        for size in (0, -1, 1001):
            with pytest.raises(BadUserInputError):
                await quiet.services.feed.page(quiet.cambo, 0, size)

    async def test_are_of_ones_own_feed_alone(self, world):
        number = a_personal_number()
        await world.follow(number, "S-1")
        await world.report(a_message(personal_number=number), a_message())
        await world.settled()
        assert len((await world.services.feed.page(world.os, 0, 10)).changes) == 1
        assert len((await world.services.feed.page(world.other_os, 0, 10)).changes) == 0


class TestAcknowledge:
    async def test_never_goes_back(self, world):
        await world.report(*(a_message() for _ in range(5)))
        await world.settled()
        standing = [
            (await world.services.feed.acknowledge(world.cambo, number))[1] for number in (3, 1, 0, 5, 4)
        ]
        assert standing == [3, 3, 3, 5, 5]
        with pytest.raises(CursorAheadError):
            await world.services.feed.acknowledge(world.cambo, 6)
        with pytest.raises(BadUserInputError):
            await world.services.feed.acknowledge(world.cambo, -1)
        assert (await world.services.feed.acknowledge(world.cambo, 0))[1] == 5

    async def test_needs_no_feed(self, quiet):
        async with quiet.hub.database.connection() as connection:
            await connection.execute("delete from feed")
        position, standing = await quiet.services.feed.acknowledge(quiet.os, 0)
        assert (position.last_number, position.earliest_number, standing) == (0, 1, 0)


class TestRights:
    async def test_end_for_a_subscription_that_was_open_before(self, world):
        number = a_personal_number()
        chain = steps(6, personal_number=number)
        await world.follow(number, "S-1")
        await world.report(*chain[:5])
        await world.settled()
        async with aclosing(world.services.subscription.changes(world.os, 0)) as changes:
            first = await anext(changes)
            await world.services.following.unfollow(world.os, ["S-1"])
            # What was read may be delivered as it is for a second.
            await asyncio.sleep(1.1)
            rest = [await anext(changes) for _ in range(4)]
            assert (first.kind, first.reference) == (ChangeKind.STATUS, "S-1")
            assert {change.kind for change in rest} == {ChangeKind.HIDDEN}
            await world.follow(number, "S-2")
            await world.report(chain[5])
            again = await asyncio.wait_for(anext(changes), 10)
        assert (again.number, again.reference) == (6, "S-2")
        replayed = await world.hear(6)
        assert [change.kind for change in replayed] == [*[ChangeKind.HIDDEN] * 5, ChangeKind.STATUS]

    async def test_end_for_what_waits_in_the_mailbox(self, world):
        number = a_personal_number()
        chain = steps(20, personal_number=number)
        await world.follow(number, "S-1")
        async with aclosing(world.services.subscription.changes(world.os, 0)) as changes:
            waiting = asyncio.create_task(anext(changes))
            await asyncio.sleep(0.05)
            await world.report(*chain)
            assert (await asyncio.wait_for(waiting, 10)).reference == "S-1"
            await world.services.following.unfollow(world.os, ["S-1"])
            await asyncio.sleep(1.1)
            rest = [await anext(changes) for _ in range(19)]
        assert numbers(rest) == list(range(2, 21))
        assert {change.kind for change in rest} == {ChangeKind.HIDDEN}

    async def test_of_one_organisation_do_not_depend_on_anothers(self, world):
        number = a_personal_number()
        await world.follow(number, "S-1")
        await world.follow(number, "O-1", by=world.other_os)
        await world.report(a_message(personal_number=number))
        await world.settled()
        await world.services.following.unfollow(world.os, ["S-1"])
        assert [change.kind for change in await world.hear(1)] == [ChangeKind.HIDDEN]
        assert [change.reference for change in await world.hear(1, by=world.other_os)] == ["O-1"]
