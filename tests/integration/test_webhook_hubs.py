"""Webhooks of hubs that die, and of several hubs at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from app.feed.webhook_sender import WebhookSender
from tests.factories.webhooks import SECOND, at_work

pytestmark = pytest.mark.slow


class DiesAfterSending(WebhookSender):
    """The process ends between the receiver's answer and the record of it."""

    async def send(self, url, headers, body):
        await super().send(url, headers, body)
        raise asyncio.CancelledError


class TestCrash:
    async def test_repeats_what_was_not_recorded_under_the_same_id(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        with pytest.raises(asyncio.CancelledError):
            await bench.deliverer(DiesAfterSending).once()
        assert (await bench.state()).last_delivered_number == 0
        await bench.change(followed)
        survivor = bench.deliverer()
        assert await survivor.once() == 0  # the lease of the dead one
        await bench.execute("update webhook set leased_until = now() - interval '1 second'")
        assert [await survivor.once() for _ in range(3)] == [1, 1, 0]
        assert receiver.sequences == [1, 1, 2]
        assert receiver.arrivals[0].id == receiver.arrivals[1].id
        assert receiver.arrivals[0].body == receiver.arrivals[1].body

    async def test_of_one_process_frees_its_webhooks_within_half_a_minute(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        with pytest.raises(asyncio.CancelledError):
            await bench.deliverer(DiesAfterSending).once()
        async with bench.database.connection() as connection:
            left = await connection.fetchval("select leased_until - now() from webhook")
        assert 10 * SECOND < left < 30 * SECOND


class TestManyHubs:
    async def test_deliver_each_notification_once(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        attempts = await asyncio.gather(*(bench.deliverer().once() for _ in range(6)))
        assert sum(attempts) == 1
        assert receiver.sequences == [1]

    async def test_deliver_in_order_one_at_a_time(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        async with AsyncExitStack() as stack:
            rings = [await stack.enter_async_context(at_work(bench, bench.deliverer())) for _ in range(3)]
            async with asyncio.timeout(30):
                for _ in range(20):
                    await bench.change(followed)
                    rings[0]()
                while receiver.sequences[-1:] != [20]:
                    await receiver.came(len(receiver.arrivals) + 1)
        assert receiver.sequences == sorted(set(receiver.sequences))

    async def test_do_not_count_what_comes_after_the_lease(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        async with bench.database.connection() as connection:
            (late,) = await _claims(connection, bench.clock.now)
            await bench.execute("update webhook set leased_until = now() - interval '1 second'")
            (present,) = await _claims(connection, bench.clock.now)
            webhooks = _webhooks(connection)
            assert not await webhooks.delivered(late, bench.clock.now)
            assert present.notification == late.notification
            assert await webhooks.delivered(present, bench.clock.now)
            assert not await webhooks.delivered(present, bench.clock.now)

    async def test_do_not_send_while_another_may_be_sending_after_a_reset(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        async with bench.database.connection() as connection:
            (claim,) = await _claims(connection, bench.clock.now)
            await bench.service.reset(bench.world.os)
            assert await _claims(connection, bench.clock.now) == []
            assert not await _webhooks(connection).delivered(claim, bench.clock.now)


def _webhooks(connection):
    from app.persistence.webhooks import Webhooks  # noqa: PLC0415 - the repository under its transaction

    return Webhooks(connection)


async def _claims(connection, now):
    return await _webhooks(connection).claim(now, 10, 20)
