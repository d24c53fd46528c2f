"""The dispatcher: one leader among all hubs, and where it looks for what is pending."""

import asyncio
import json

import asyncpg
import pytest

from app.domain import codes
from app.feed.dispatcher import _LowMark
from app.persistence.feeds import _NUMBER
from app.persistence.numbering import NumberingConnection
from tests.factories.feed import append_event, now, number_pending, numbers, whole_feed
from tests.factories.world import a_message

HOLDS_THE_LOCK = (
    "select a.pid from pg_locks l join pg_stat_activity a using (pid)"
    " where l.locktype = 'advisory' and l.granted and a.datname = current_database()"
    " and a.application_name like 'koppelpunt dispatcher%'"
)
MANY_EVENTS = (
    "with added as ("
    "  insert into status_event (registration_id, student_id, organisation_id, kind, status,"
    "                            learning_path, source, occurred_at, recorded_at)"
    "  select r.id, r.student_id, 1, 'STATUS', 'OFFERED', 'BOL', 'SIS', now(), now()"
    "  from registration r cross join generate_series(1, 20000) returning id)"
    " insert into pending_event select id from added"
)


class TestLowMark:
    async def test_moves_past_what_a_long_read_keeps_alive(self, quiet, connect):
        await quiet.report(a_message())
        reader, writer = await connect(), await connect()
        await reader.execute("begin isolation level repeatable read")
        await reader.fetchval("select count(*) from pending_event")
        await writer.execute(MANY_EVENTS)
        mark = _LowMark()
        async with NumberingConnection.open(quiet.hub.database) as numbering:
            while (await number_pending(numbering)).events:
                pass
            newest = await writer.fetchval("select max(id) from status_event")
            await _until_at(mark, newest, numbering)
            event_id = await append_event(writer)
            above, all_over = await _buffers(writer, mark.low), await _buffers(writer, 0)
            assert above < 30 < all_over
            assert (await number_pending(numbering, mark.low)).events == 1
        assert event_id > mark.low

    async def test_keeps_the_whole_of_numbering_as_cheap_as_before_the_long_read(self, quiet, connect):
        await quiet.report(a_message())
        reader, writer = await connect(), await connect()
        await reader.execute("begin isolation level repeatable read")
        await reader.fetchval("select count(*) from pending_event")
        mark = _LowMark()
        async with NumberingConnection.open(quiet.hub.database) as numbering:
            await number_pending(numbering)
            await append_event(writer)
            before = await _pages_of_numbering(numbering, 0)
            await writer.execute(MANY_EVENTS)
            while (await number_pending(numbering)).events:
                pass
            for _ in range(50):
                await append_event(writer)
                await number_pending(numbering)
            await _until_at(mark, await writer.fetchval("select max(id) from status_event"), numbering)
            await append_event(writer)
            after = await _pages_of_numbering(numbering, mark.low)
            without = await _pages_of_numbering(numbering, 0)
        assert after <= before + 20, "of which each hundred batches add two, by the feed's own row"
        assert without > before + 50, "what the mark is for"

    async def test_stays_below_a_writer_that_may_still_commit(self, quiet, connect):
        await quiet.report(a_message())
        slow, other = await connect(), await connect()
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("select 1 from registration for update")
        held = await append_event(slow)
        mark = _LowMark()
        async with NumberingConnection.open(quiet.hub.database) as numbering:

            async def look():
                await number_pending(numbering, mark.low)
                mark._next_look = 0
                await mark.move(numbering)

            for _ in range(3):
                await append_event(other)
                await look()
                assert mark.low < held
            await transaction.commit()
            await look()
            await _until_at(mark, held, numbering)
        assert await other.fetchval("select count(*) from feed_entry where event_id = $1", held) == 1

    async def test_stays_below_a_writer_after_which_nobody_else_ended(self, quiet, connect):
        await quiet.report(a_message())
        slow = await connect()
        mark = _LowMark()
        async with NumberingConnection.open(quiet.hub.database) as numbering:
            await number_pending(numbering)
            transaction = slow.transaction()
            await transaction.start()
            await slow.execute("select 1 from registration for update")
            held = await append_event(slow)
            for _ in range(3):
                mark._next_look = 0
                await mark.move(numbering)
            assert mark.low < held
            await transaction.commit()
            assert (await number_pending(numbering, mark.low)).events == 1

    async def test_draws_no_transaction_while_nothing_happens(self, quiet):
        await quiet.report(a_message())
        mark = _LowMark()
        async with NumberingConnection.open(quiet.hub.database) as numbering:
            await number_pending(numbering)
            await _until_at(mark, 1, numbering)
            drawn = []
            numbering._connection.add_query_logger(lambda query: drawn.append(query.query))
            for _ in range(3):
                mark._next_look = 0
                await mark.move(numbering)
            await asyncio.sleep(0)  # for the logger
        assert len(drawn) == 3
        assert not any("pg_current_xact_id" in query for query in drawn)

    async def test_stays_below_what_is_committed_and_not_yet_numbered(self, quiet):
        await quiet.report(a_message())
        mark = _LowMark()
        async with NumberingConnection.open(quiet.hub.database) as numbering:
            for _ in range(3):
                mark._next_look = 0
                await mark.move(numbering)
            assert mark.low == 0
            assert (await number_pending(numbering, mark.low)).events == 1


async def _until_at(mark, event_id, numbering):
    """Move the mark; writers of other databases on the same server may hold it up for a moment."""
    async with asyncio.timeout(20):
        while mark.low < event_id:
            mark._next_look = 0
            await mark.move(numbering)
            await asyncio.sleep(0.02)


async def _pages_of_numbering(numbering, low):
    """Return how many pages one round of numbering touches; it is rolled back."""
    connection = numbering._connection
    transaction = connection.transaction()
    await transaction.start()
    values = {"$1": str(low), "$2": "1000", "$3": "current_date", "$4": "false", "$5": "now()"}
    statement = _NUMBER
    for name, value in values.items():
        statement = statement.replace(name, value)
    text = await connection.fetchval(f"explain (analyze, buffers, format json) {statement}")
    await transaction.rollback()
    plan = json.loads(text)[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


async def _buffers(connection, low):
    """Return how many pages the look for pending events touches."""
    scan = "select event_id from pending_event where event_id > $1 order by event_id limit $2"
    assert scan in _NUMBER
    text = await connection.fetchval(
        f"explain (analyze, buffers, format json) {scan.replace('$1', str(low)).replace('$2', '1000')}"
    )
    plan = json.loads(text)[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


class TestLeader:
    async def test_is_one_of_two_hubs_and_the_other_takes_over(self, world, open_world, connect):
        await open_world()
        watcher = await connect()
        for round_ in range(2):
            leader = await _leader(watcher)
            await watcher.execute("select pg_terminate_backend($1)", leader)
            begun = asyncio.get_running_loop().time()
            await world.report(a_message())
            await world.settled()
            assert asyncio.get_running_loop().time() - begun < 5
            assert await _leader(watcher) != leader
            assert (await world.services.feed.position(world.cambo)).last_number == round_ + 1

    async def test_that_lost_its_connection_cannot_write(self, quiet, connect):
        await quiet.report(a_message())
        watcher = await connect()
        async with (
            NumberingConnection.open(quiet.hub.database) as stale,
            NumberingConnection.open(quiet.hub.database) as fresh,
        ):
            assert await stale.try_to_lead()
            assert not await fresh.try_to_lead()
            await watcher.execute("select pg_terminate_backend($1)", await _leader(watcher))
            async with asyncio.timeout(5):
                while not await fresh.try_to_lead():  # noqa: ASYNC110 - locks ring no bell
                    await asyncio.sleep(0.01)
            assert (await number_pending(fresh)).events == 1
            await quiet.report(a_message())
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
                await number_pending(stale)
        assert await quiet.count("pending_event") == 1

    @pytest.mark.parametrize("within_a_transaction", [True, False])
    async def test_that_hangs_is_out_within_5_seconds(self, quiet, within_a_transaction):
        await quiet.report(a_message())
        async with (
            NumberingConnection.open(quiet.hub.database) as hung,
            NumberingConnection.open(quiet.hub.database) as fresh,
        ):
            assert await hung.try_to_lead()
            if within_a_transaction:
                await hung._connection.execute("begin; select pg_advisory_xact_lock(0x6B6F707002)")
                await hung.pending.number(0, 1000, codes.today(now()), now(), vavo=False)
            begun = asyncio.get_running_loop().time()
            async with asyncio.timeout(5):
                while not await fresh.try_to_lead():  # noqa: ASYNC110 - locks ring no bell
                    await asyncio.sleep(0.2)
            assert (await number_pending(fresh)).events == 1
            assert asyncio.get_running_loop().time() - begun < 5
        assert numbers(await whole_feed(quiet, quiet.cambo)) == [1]

    async def test_waits_for_the_numbering_of_another_to_end(self, quiet):
        await quiet.report(*(a_message() for _ in range(3)))
        async with (
            NumberingConnection.open(quiet.hub.database) as one,
            NumberingConnection.open(quiet.hub.database) as two,
        ):
            async with one.transaction() as pending:
                second = asyncio.create_task(number_pending(two))
                await asyncio.sleep(0.1)
                assert not second.done()
                first = await pending.number(0, 2, codes.today(now()), now(), vavo=False)
            assert (first.events, (await second).events) == (2, 1)
        assert numbers(await whole_feed(quiet, quiet.cambo)) == [1, 2, 3]


async def _leader(connection):
    async with asyncio.timeout(5):
        while (pid := await connection.fetchval(HOLDS_THE_LOCK)) is None:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.02)
    return pid
