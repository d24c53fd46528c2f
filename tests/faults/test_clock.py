"""The clock of the hub jumps while changes are on their way."""

import asyncio
import itertools
import random
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from app.bootstrap import Hub
from app.domain.codes import Status
from app.domain.status_message import Outcome, Refusal
from tests.factories.world import World, a_message, a_personal_number
from tests.faults.checker import Heard, Recorder, Sent, problems

SEED = 20261130
JUMPS = [timedelta(hours=hours) for hours in (0, 1, -2, 0, -2, 1, 0)]


class Clock:
    """The time, and by how much it is wrong."""

    def __init__(self):
        self.wrong = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.wrong


class Traffic:
    """Reports steps of registrations, and knows what was sent and accepted."""

    def __init__(self, world, source):
        self.world = world
        self.sent: dict[tuple[str, str], Sent] = {}
        self.refused: list[object] = []
        self._random = source
        self._numbers = [a_personal_number(source) for _ in range(4)]
        self._begun = datetime.now(UTC) - timedelta(days=2)
        self._steps = 0
        self._statuses = [itertools.cycle((Status.RECEIVED, Status.OFFERED)) for _ in range(4)]

    def old(self):
        """Return a step that happened long ago, whatever the clock says."""
        self._steps += 1
        which = self._random.randrange(4)
        return a_message(
            application_id=f"A-{which}",
            personal_number=self._numbers[which],
            status=next(self._statuses[which]),
            occurred_at=self._begun + timedelta(seconds=self._steps),
        )

    async def report(self, message):
        sent = Sent(message.application_id, message.occurred_at.isoformat(), message.status)
        self.sent[sent.key] = sent
        (result,) = await self.world.report(message)
        if result.outcome is Outcome.ACCEPTED:
            self.sent[sent.key] = Sent(*sent.key, sent.status, accepted=True)
        else:
            assert result.code is Refusal.IN_THE_FUTURE
            self.refused.append(message)


async def listen(world, recorder):
    """Hear for ever, with a new connection now and then."""
    while True:
        heard = recorder.connected(recorder.last_number)
        async with aclosing(
            world.services.subscription.changes(world.cambo, recorder.last_number)
        ) as changes:
            async for change in changes:
                heard.append(
                    Heard(change.number, change.application_id, change.occurred_at.isoformat(), change.status)
                )
                if len(heard) == 25:
                    break


class TestClock:
    async def test_an_hour_ahead_and_two_back_breaks_no_promise(self, settings):
        print(f"seed {SEED}")  # noqa: T201
        clock, source = Clock(), random.Random(SEED)
        async with Hub.open(settings, clock=clock) as hub:
            world = World(hub)
            await world.furnish()
            async with hub.database.connection() as connection:
                # Two hours back may be yesterday.
                await connection.execute("update mandate set valid_from = valid_from - 2")
            traffic, recorder = (
                Traffic(world, source),
                Recorder("cambo", frozenset(f"A-{i}" for i in range(4))),
            )
            listening = asyncio.create_task(listen(world, recorder))
            for wrong in JUMPS:
                clock.wrong = wrong
                for _ in range(12):
                    await traffic.report(traffic.old())
                # What has just happened lies in the future of a clock that went back.
                await traffic.report(a_message(occurred_at=datetime.now(UTC)))
                await world.settled()
            assert len(traffic.refused) == 2
            again, traffic.refused = traffic.refused, []
            for message in again:
                await traffic.report(message)
            assert traffic.refused == [], "a refused message may be sent again"
            await world.settled()
            position = await world.services.feed.position(world.cambo)
            async with asyncio.timeout(20):
                while recorder.last_number < position.last_number:  # noqa: ASYNC110 - another task hears
                    await asyncio.sleep(0.02)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            assert position.last_number == len(traffic.sent)
            assert position.earliest_number == 1
            assert await hub.housekeeping.now("feed-expiry") == 0
        assert problems(list(traffic.sent.values()), [recorder]) == []
