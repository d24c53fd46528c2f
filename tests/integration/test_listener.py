"""The connections of receivers in one process: slow ones, many of them, and what they cost."""

import asyncio
import gc
from contextlib import aclosing

import pytest

from app.domain.feed import StatusChange
from app.domain.registration import ChangeKind
from app.feed import tail
from app.feed.audience import Audience, Listener
from app.feed.outlet import Outlet
from app.persistence.feeds import Place
from graphql_schema.execution.operations import Event, Operations
from graphql_schema.schema import schema
from tests.factories.feed import append_event, now, numbers, steps
from tests.factories.world import a_message, a_personal_number


class _Line:
    """A client's connection that takes a number of frames."""

    late = False

    def __init__(self, takes: int = 1000) -> None:
        self.takes = takes
        self.frames: list[bytes] = []

    def write(self, frame: bytes) -> bool:
        if len(self.frames) >= self.takes:
            return False
        self.frames.append(frame)
        return True


class TestListener:
    def _audience(self, *numbers):
        audience = Audience()
        for number in numbers:
            audience.add(StatusChange(number, ChangeKind.HIDDEN, now()))
        return audience

    def _joins(self, audience, wanted=1, outlet=None):
        listener = Listener(audience, outlet)
        listener.wanted = wanted
        audience.listeners[listener] = None
        return listener

    async def _next(self, listener):
        change = await asyncio.wait_for(listener.next(), 1)
        return None if change is None else change.number

    async def test_gets_the_number_that_comes_next_and_goes_to_the_table_otherwise(self):
        audience = self._audience(3, 4, 6)
        assert await self._next(self._joins(audience, 6)) == 6
        assert await self._next(self._joins(audience, 5)) is None
        assert await self._next(self._joins(audience, 4)) is None  # a hole: what is before it is forgotten

    async def test_goes_to_the_table_at_once_when_the_tail_does_not_know(self):
        audience = self._audience()
        listener = self._joins(audience, 7)
        audience.poke_all()
        assert await self._next(listener) is None
        listener.trust()
        (await self._waits(listener)).cancel()

    async def _waits(self, listener):
        """Let it wait; return what waits."""
        waiting = asyncio.create_task(self._next(listener))
        while not listener.is_waiting:
            assert not waiting.done()
            await asyncio.sleep(0)
        return waiting

    async def test_does_not_ask_the_table_again_for_what_that_did_not_have(self):
        audience = self._audience(1, 2)
        listener = self._joins(audience, 1)
        audience.forget()
        audience._recent.clear()  # as a second later
        assert await self._next(listener) is None
        listener.trust()  # a database that was set back
        waiting = await self._waits(listener)
        audience.add(StatusChange(3, ChangeKind.HIDDEN, now()))
        listener.serve(0)
        assert await waiting is None

    async def test_is_served_by_its_outlet_while_it_waits_and_only_then(self):
        audience, line = self._audience(), _Line()
        listener = self._joins(audience, 1, Outlet(line, "key", lambda change: b"%d" % change.number))
        audience.add(StatusChange(1, ChangeKind.HIDDEN, now()))
        listener.serve(0)
        assert line.frames == []
        assert await self._next(listener) == 1
        waiting = await self._waits(listener)
        for number in (2, 3):
            audience.add(StatusChange(number, ChangeKind.HIDDEN, now()))
        listener.serve(0)
        assert (line.frames, listener.wanted, waiting.done()) == ([b"2", b"3"], 4, False)
        waiting.cancel()

    async def test_wakes_up_where_its_outlet_takes_no_more(self):
        for line, make in (
            (_Line(takes=1), lambda change: b"%d" % change.number),
            (_Line(), lambda change: {1: b"1"}[change.number]),
            (_Line(), lambda change: b"%d" % (1 // (2 - change.number))),
        ):
            audience = self._audience()
            listener = self._joins(audience, 1, Outlet(line, "key", make))
            waiting = await self._waits(listener)
            for number in (1, 2):
                audience.add(StatusChange(number, ChangeKind.HIDDEN, now()))
            listener.serve(0)
            assert line.frames == [b"1"]
            assert await asyncio.wait_for(waiting, 1) == 2

    async def test_gets_nothing_by_its_outlet_that_is_no_longer_fresh(self):
        audience, line = self._audience(), _Line()
        listener = self._joins(audience, 1, Outlet(line, "key", lambda _: b"stale"))
        waiting = await self._waits(listener)
        audience.add(StatusChange(1, ChangeKind.HIDDEN, now()))
        listener.serve(earliest=asyncio.get_running_loop().time() + 1)
        assert (line.frames, listener.wanted) == ([], 1)
        await asyncio.wait_for(waiting, 1)

    async def test_shares_what_is_made_with_those_who_ask_alike(self):
        audience, shared, framed = self._audience(), [], []

        def outlet(line, name, key):
            def share(change):
                shared.append(key)
                return change.number

            def frame(number):
                framed.append(name)
                return f"{name} {number}".encode()

            return Outlet(line, name, frame).through(key, share)

        lines = [_Line() for _ in range(106)]
        asked = [("1", "a"), ("1", "a"), ("2", "a"), ("1", "b"), ("1", "b"), ("3", "b")]
        asked += [(f"own {number}", "c") for number in range(100)]
        for line, (name, key) in zip(lines, asked, strict=True):
            self._joins(audience, 1, outlet(line, name, key))
        waiting = [await self._waits(one) for one in audience.listeners]
        audience.add(StatusChange(1, ChangeKind.HIDDEN, now()))
        for listener in audience.listeners:
            listener.serve(0)
        assert shared == ["a", "b", "c"]
        assert framed == ["1", "2", "1", "3", *(name for name, _ in asked[6:])]
        assert [line.frames for line in lines] == [[f"{name} 1".encode()] for name, _ in asked]
        assert len(audience.find(1)._frames) == 16, "what each has for itself does not pile up"
        for task in waiting:
            task.cancel()


class TestOutlet:
    async def test_gets_what_the_subscription_would_yield_and_it_is_on_record(self, world):
        operations, line = Operations(schema), _Line(takes=3)
        prepared = operations.prepare(
            "subscription ($after: Int) { statusChanged(after: $after)"
            " { number kind reference status registration { applicationId institution { name } } } }",
            None,
        )
        number = a_personal_number()
        await world.follow(number, "S-1")

        def subscribed(after, *outlet):
            context = world.hub.context(world.os)
            return aclosing(operations.subscribe(prepared, {"after": after}, context, *outlet))

        outlet: Outlet[Event] = Outlet(line, "1", lambda event: event.payload)
        async with subscribed(None, outlet) as pushed, subscribed(0) as pulled:
            waiting = asyncio.create_task(anext(pushed))
            (audience,) = await self._audience_of(world, 1)
            while not all(listener.is_waiting for listener in audience.listeners):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            for message in steps(4, personal_number=number):
                await world.report(message)
                await world.settled()
            beyond = await asyncio.wait_for(waiting, 10)
            expected = [(await asyncio.wait_for(anext(pulled), 10)).payload for _ in range(4)]
        assert [*line.frames, beyond.payload] == expected
        await world.services.subscription._deliveries.flush()
        async with world.hub.database.connection() as connection:
            ranges = await connection.fetch(
                "select first_number, last_number from processing_record where first_number is not null"
            )
        spans = [set(range(one["first_number"], one["last_number"] + 1)) for one in ranges]
        assert sorted(number for span in spans for number in span) == [1, 1, 2, 2, 3, 3, 4, 4]

    async def _audience_of(self, world, count):
        async with asyncio.timeout(10):
            while True:
                audiences = list(world.services.subscription.tail._audiences.values())
                if len(audiences) == count:
                    return audiences
                await asyncio.sleep(0.01)


class TestTail:
    async def test_goes_through_what_is_nobodys_here_once(self, world, monkeypatch):
        """Where others had got 300,000 entries since the last one of somebody here, each look took 17 ms."""
        here = world.services.subscription.tail
        monkeypatch.setattr(tail, "_CHECK_SECONDS", 0)
        here._check_at = 0
        number = a_personal_number()
        await world.follow(number, "S-1")
        async with aclosing(world.services.subscription.changes(world.os, None)) as changes:
            waiting = asyncio.create_task(anext(changes))
            for _ in range(3):
                await world.report(a_message(), a_message())
                await world.settled()
            async with world.hub.database.connection() as connection:
                newest = await connection.fetchval("select max(batch) from feed_entry")
            async with asyncio.timeout(10):
                while here._place < Place.behind(newest):  # noqa: ASYNC110 - it rings no bell
                    await asyncio.sleep(0.01)
            await world.report(a_message(personal_number=number))
            assert (await asyncio.wait_for(waiting, 10)).number == 1

    async def test_leaves_what_it_cannot_read_to_whose_it_is(self, world, connect):
        """A hub of a later release runs beside this one, say, and knows a kind of change more."""
        number = a_personal_number()
        await world.report(a_message())
        await world.follow(number, "S-1")
        later, changes = await connect(), world.services.subscription.changes
        async with (
            aclosing(changes(world.cambo, None)) as all_of_it,
            aclosing(changes(world.os, None)) as own,
        ):
            waiting = [asyncio.create_task(anext(one)) for one in (all_of_it, own)]
            await self._all_wait(world, 2)
            async with later.transaction():
                event = await append_event(later)
                await later.execute("update status_event set kind = 'MOVED' where id = $1", event)
            with pytest.raises(ValueError, match="MOVED"):
                await asyncio.wait_for(waiting[0], 10)
            await world.report(a_message(personal_number=number))
            assert (await asyncio.wait_for(waiting[1], 10)).number == 1

    async def _all_wait(self, world, count):
        async with asyncio.timeout(10):
            while True:
                audiences = world.services.subscription.tail._audiences.values()
                listeners = [one for audience in audiences for one in audience.listeners]
                if sum(one.is_waiting for one in listeners) == count:
                    return
                await asyncio.sleep(0.01)


class TestMemory:
    async def test_of_a_subscriber_that_takes_nothing_is_bounded_and_it_gets_everything_later(self, world):
        async with aclosing(world.services.subscription.changes(world.cambo, 0)) as changes:
            await world.report(a_message())
            first = await asyncio.wait_for(anext(changes), 10)
            for _ in range(5):
                await world.report(*(a_message() for _ in range(1000)))
            await world.settled(30)
            (audience,) = world.services.subscription.tail._audiences.values()
            assert len(audience._recent) <= 1024
            heard = [first, *[await asyncio.wait_for(anext(changes), 10) for _ in range(5000)]]
        assert numbers(heard) == list(range(1, 5002))
        assert len({change.application_id for change in heard}) == 5001
        assert world.services.subscription.tail._audiences == {}

    async def test_of_a_subscription_does_not_grow_with_its_events(self, world):
        """graphql-core 3.3.2 kept the selections of every event for as long as the subscription lived."""
        operations = Operations(schema)
        query = (
            "subscription { statusChanged(after: 0) { number kind status registration"
            " { id applicationId status institution { brin name } programme { code name } } } }"
        )
        prepared = operations.prepare(query, None)
        for _ in range(3):
            await world.report(*(a_message() for _ in range(800)))
        await world.settled(30)
        async with aclosing(operations.subscribe(prepared, None, world.hub.context(world.cambo))) as events:

            async def objects_after(count):
                for _ in range(count):
                    await anext(events)
                gc.collect()
                return len(gc.get_objects())

            before = await objects_after(1200)  # what is kept on purpose is full by then
            after = await objects_after(1000)
        # The page that is held is smaller or larger, by some objects for each of its changes.
        assert after - before < 2500
