"""Webhooks: what is told to a receiver that keeps no connection, against a real HTTPS server."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from app.domain.webhook import WebhookProblem, WebhookState
from app.feed.webhook_secrets import WebhookSecrets
from app.feed.webhook_sender import WebhookSender
from app.otlp.collector import resource
from app.otlp.traces import OtlpTracing
from app.tracing import TraceContext
from tests.factories.collector import collecting, plain
from tests.factories.receiver import BROKEN, HANG, HOST, TAKEN, answer, listening
from tests.factories.webhooks import DAY, HOUR, LOCAL, MINUTE, SECOND, at_work, verified
from tests.factories.world import BRIN, a_message, a_personal_number

pytestmark = pytest.mark.slow


class TestNotification:
    async def test_is_signed_and_without_content(self, bench, receiver, followed):
        _, secret = await bench.service.register(bench.world.os, receiver.url)
        message = a_message(personal_number=followed)
        await bench.world.report(message)
        await bench.give_numbers()
        assert await bench.delivery.once() == 1
        (arrival,) = receiver.arrivals
        assert arrival.request_line == "POST /hooks?of=hub HTTP/1.1"
        assert arrival.headers["host"] == f"{HOST}:{receiver.port}"
        assert arrival.headers["content-type"].startswith("application/cloudevents+json")
        assert verified(arrival, secret)
        assert not verified(arrival, "whsec_" + "A" * 44)
        assert arrival.event == {
            "specversion": "1.0",
            "id": arrival.id,
            "source": "urn:nld:oin:00000099000000000000:systeem:koppelpunt",
            "type": "nl.mbo-koppelpunt.status-changed.v1",
            "time": arrival.event["time"],
            "sequence": "1",
            "sequencetype": "Integer",
            "dataref": "https://hub.example/graphql",
        }
        everything = f"{arrival.headers} {arrival.body!r}"
        for content in (followed, message.application_id, str(message.message_id), BRIN, "S-1", "RECEIVED"):
            assert content not in everything
        state = await bench.state()
        assert (state.state, state.last_delivered_number) == (WebhookState.ACTIVE, 1)
        assert (state.last_attempt_at, state.next_attempt_at) == (bench.clock.now, None)

    async def test_comes_once(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        assert [await bench.delivery.once() for _ in range(3)] == [1, 0, 0]

    async def test_begins_after_the_registration(self, bench, receiver, followed):
        await bench.change(followed, 2)
        webhook, _ = await bench.service.register(bench.world.os, receiver.url)
        assert webhook.last_delivered_number == 2
        assert await bench.delivery.once() == 0
        await bench.change(followed)
        await bench.delivery.once()
        assert receiver.sequences == [3]

    async def test_stands_for_all_that_waits(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed, 3)
        assert [await bench.delivery.once() for _ in range(2)] == [1, 0]
        assert receiver.sequences == [3]

    async def test_waits_for_the_one_before(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        receiver.answers.append(BROKEN)
        await bench.change(followed)
        await bench.delivery.once()
        await bench.change(followed, 2)
        assert await bench.delivery.once() == 0
        bench.clock.move(MINUTE)
        assert [await bench.delivery.once() for _ in range(3)] == [1, 1, 0]
        assert receiver.sequences == [1, 1, 3]
        first, again, last = receiver.arrivals
        assert first.id == again.id
        assert first.body == again.body
        assert first.headers["webhook-timestamp"] < again.headers["webhook-timestamp"]
        assert last.id != first.id

    async def test_comes_to_cambo_for_every_change(self, bench, receiver):
        await bench.service.register(bench.world.cambo, receiver.url)
        await bench.change(a_personal_number())
        await bench.delivery.once()
        assert receiver.sequences == [1]

    async def test_does_not_come_to_whom_nothing_happened(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(a_personal_number())
        await bench.world.services.following.unfollow(bench.world.os, ["S-1"])
        await bench.change(followed)
        assert await bench.delivery.once() == 0

    async def test_comes_no_more_after_a_removal(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        assert await bench.service.remove(bench.world.os)
        assert await bench.delivery.once() == 0
        assert receiver.connections == 0

    async def test_does_not_come_to_an_organisation_without_a_client_left(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        await bench.world.services.clients.revoke_client(bench.world.os.client_id)
        assert await bench.delivery.once() == 0


class TestOnRecord:
    async def processings(self, bench) -> list[tuple[object, ...]]:
        async with bench.database.connection() as connection:
            rows = await connection.fetch(
                "select * from processing_record where activity = 'notify-status-changes' order by id"
            )
        return [(row["status"], row["first_number"], row["last_number"], row["client_id"]) for row in rows]

    async def test_is_each_attempt_with_its_numbers(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        receiver.answers.append(BROKEN)
        await bench.change(followed, 2)
        await bench.delivery.once()
        bench.clock.move(MINUTE)
        await bench.delivery.once()
        async with bench.database.connection() as connection:
            webhook = str(await connection.fetchval("select webhook_id from webhook"))
        assert await self.processings(bench) == [("ERROR", 1, 2, webhook), ("OK", 1, 2, webhook)]

    async def test_is_the_trace_that_the_receiver_was_told(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        await bench.delivery.once()
        told = TraceContext.read(receiver.arrivals[0].headers["traceparent"])
        async with bench.database.connection() as connection:
            row = await connection.fetchrow(
                "select trace_id, span_id from processing_record where activity = 'notify-status-changes'"
            )
        assert told is not None
        assert (told.trace_id, told.span_id, told.sampled) == (row["trace_id"], row["span_id"], False)

    async def test_is_the_span_that_the_collector_got(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        receiver.answers.append(BROKEN)
        await bench.change(followed)
        with collecting() as collector:
            tracing = OtlpTracing(collector.url, resource("test"), 1)
            bench.delivery._tracing = tracing
            await bench.delivery.once()
            tracing.close()
        (span,) = collector.spans
        told = receiver.arrivals[0].headers["traceparent"]
        assert told == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
        assert plain(span.attributes) == {"koppelpunt.webhook.outcome": "FAILED"}
        assert span.status.code == 2


class TestClock:
    async def test_that_goes_back_holds_up_nobody_whose_webhook_works(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        bench.clock.move(HOUR)
        await bench.delivery.once()
        bench.clock.move(-2 * HOUR)
        await bench.change(followed)
        await bench.delivery.once()
        assert receiver.sequences == [1, 2]


class TestFailure:
    @pytest.fixture
    async def told(self, bench, receiver, followed):
        """Let one notification be due."""
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        return bench

    @pytest.mark.parametrize(
        ("reply", "problem"),
        [
            (BROKEN, WebhookProblem.FAILED),
            (answer("404 Not Found"), WebhookProblem.REFUSED),
            (answer("301 Moved Permanently", "location: /elsewhere"), WebhookProblem.REDIRECTED),
            (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", WebhookProblem.NOT_HTTP),
            (b"HTTP/1.1 200", WebhookProblem.NOT_HTTP),
        ],
    )
    async def test_is_kept_in_a_word_and_tried_again(self, told, receiver, reply, problem):
        receiver.answers.append(reply)
        await told.delivery.once()
        state = await told.state()
        assert (state.state, state.last_problem, state.failures) == (WebhookState.RETRYING, problem, 1)
        assert state.last_delivered_number == 0
        assert 3 * SECOND < state.next_attempt_at - told.clock.now < 7 * SECOND
        told.clock.now = state.next_attempt_at - SECOND
        assert await told.delivery.once() == 0
        told.clock.now = state.next_attempt_at
        assert await told.delivery.once() == 1
        state = await told.state()
        assert (state.state, state.last_problem, state.failures) == (WebhookState.ACTIVE, None, 0)
        assert state.last_delivered_number == 1

    async def test_of_a_day_is_survived_and_that_of_three_days_stops(self, told, receiver):
        receiver.usual = BROKEN
        start = told.clock.now
        while (state := await told.state()).state is not WebhookState.STOPPED:
            told.clock.now = state.next_attempt_at or told.clock.now
            assert told.clock.now <= start + 3 * DAY
            assert await told.delivery.once() == 1
        assert told.clock.now - start == 3 * DAY
        assert 20 <= len(receiver.arrivals) <= 40
        assert len({arrival.id for arrival in receiver.arrivals}) == 1
        told.clock.move(100 * DAY)
        assert await told.delivery.once() == 0
        # Its owner starts it again, with all patience.
        reset = await told.service.reset(told.world.os)
        assert (reset.state, reset.failures, reset.last_problem) == (WebhookState.ACTIVE, 0, None)
        await told.delivery.once()
        assert (await told.state()).state is WebhookState.RETRYING
        receiver.usual = TAKEN
        told.clock.move(MINUTE)
        await told.delivery.once()
        assert (await told.state()).last_delivered_number == 1

    async def test_410_stops_at_once(self, told, receiver):
        receiver.answers.append(answer("410 Gone"))
        await told.delivery.once()
        state = await told.state()
        assert (state.state, state.last_problem) == (WebhookState.STOPPED, WebhookProblem.GONE)
        assert state.next_attempt_at is None
        told.clock.move(DAY)
        assert await told.delivery.once() == 0

    @pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
    async def test_obeys_retry_after(self, told, receiver, status):
        receiver.answers.append(answer(status, "Retry-After: 3600"))
        await told.delivery.once()
        told.clock.move(HOUR - SECOND)
        assert await told.delivery.once() == 0
        told.clock.move(SECOND)
        assert await told.delivery.once() == 1

    async def test_follows_no_redirect(self, told, receiver, authority):
        async with listening(authority.server) as elsewhere:
            for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
                receiver.answers.append(answer(status, f"location: {elsewhere.url}"))
                await told.delivery.once()
                assert (await told.state()).last_problem is WebhookProblem.REDIRECTED
                told.clock.move(HOUR)
            assert elsewhere.connections == 0

    async def test_of_a_certificate_for_another_name(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url.replace(HOST, "other.example"))
        await bench.change(followed)
        await bench.delivery.once()
        assert (await bench.state()).last_problem is WebhookProblem.CERTIFICATE_REFUSED
        assert receiver.arrivals == []

    async def test_of_a_certificate_of_an_unknown_authority(self, told, receiver):
        await told.deliverer(ca_file=None).once()
        assert (await told.state()).last_problem is WebhookProblem.CERTIFICATE_REFUSED
        assert receiver.arrivals == []

    async def test_of_a_server_that_speaks_no_tls_after_the_handshake(self, bench, authority, followed):
        def serve(door):
            arrived, _ = door.accept()
            with authority.server.wrap_socket(arrived, server_side=True) as spoken:
                spoken.recv(1)
                os.write(spoken.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
                with suppress(OSError):
                    spoken.recv(1 << 16)

        with socket.create_server((LOCAL, 0)) as door:
            serving = asyncio.create_task(asyncio.to_thread(serve, door))
            await bench.service.register(bench.world.os, f"https://{HOST}:{door.getsockname()[1]}/")
            await bench.change(followed)
            await bench.delivery.once()
            await serving
        state = await bench.state()
        assert (state.state, state.last_problem) == (WebhookState.RETRYING, WebhookProblem.NOT_HTTP)

    async def test_that_nobody_foresaw_is_one_like_others(self, told, receiver):
        class Odd(WebhookSender):
            async def send(self, url, headers, body):
                raise RuntimeError

        with capture_logs() as logged:
            await told.deliverer(Odd).once()
        state = await told.state()
        assert (state.state, state.last_problem) == (WebhookState.RETRYING, WebhookProblem.FAILED)
        assert "webhook_failed" in {line["event"] for line in logged}

    async def test_of_a_server_that_is_not_there(self, told, receiver):
        told.names.usual = ["127.0.0.99"]
        await told.delivery.once()
        assert (await told.state()).last_problem is WebhookProblem.NOT_CONNECTED

    async def test_of_a_name_that_is_gone(self, told, receiver):
        told.names.usual = []
        await told.delivery.once()
        assert (await told.state()).last_problem is WebhookProblem.NAME_NOT_FOUND

    async def test_of_a_secret_that_cannot_be_opened_stops(self, told, receiver):
        await told.deliverer(secrets=WebhookSecrets(b"1" * 32)).once()
        state = await told.state()
        assert (state.state, state.last_problem) == (WebhookState.STOPPED, WebhookProblem.SECRET_UNREADABLE)
        assert receiver.connections == 0

    async def test_says_nothing_of_the_address_in_the_log(self, told, receiver):
        receiver.answers.append(answer("410 Gone"))
        with capture_logs() as logged:
            await told.delivery.once()
        (line,) = (line for line in logged if line["event"] == "webhook_stopped")
        assert line["problem"] == WebhookProblem.GONE
        assert HOST not in str(logged)


class TestSlowness:
    async def test_ends_after_the_time_limit(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        receiver.answers.append(HANG)
        await bench.deliverer(seconds=0.3).once()
        state = await bench.state()
        assert (state.state, state.last_problem) == (WebhookState.RETRYING, WebhookProblem.TIMED_OUT)

    async def test_counts_all_in_all_so_that_dribbling_does_not_help(self, bench, authority, followed):
        async def dribble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                writer.write(b"HTTP/1.1 200 OK\r\n")
                for step in range(100):
                    writer.write(f"x-{step}: y\r\n".encode())
                    await writer.drain()
                    await asyncio.sleep(0.05)
            writer.close()

        server = await asyncio.start_server(dribble, LOCAL, 0, ssl=authority.server)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await bench.service.register(bench.world.os, f"https://{HOST}:{port}/")
            await bench.change(followed)
            async with asyncio.timeout(4):
                await bench.deliverer(seconds=0.5).once()
        assert (await bench.state()).last_problem is WebhookProblem.TIMED_OUT

    async def test_of_a_body_does_not_matter_since_none_is_read(self, bench, authority, followed):
        sent = 0

        async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            with suppress(ConnectionError):
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(bytes(1 << 16))
                    await writer.drain()
                    sent += 1 << 16
            writer.close()

        server = await asyncio.start_server(pour, LOCAL, 0, ssl=authority.server)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await bench.service.register(bench.world.os, f"https://{HOST}:{port}/")
            await bench.change(followed)
            async with asyncio.timeout(4):
                await bench.delivery.once()
        assert (await bench.state()).last_delivered_number == 1
        assert sent < 32 << 20

    async def test_of_one_receiver_is_not_noticed_by_another(self, bench, authority, receiver, followed):
        await bench.world.follow(followed, "T-1", by=bench.world.other_os)
        receiver.usual = HANG
        async with listening(authority.server) as quick, at_work(bench, bench.delivery) as ring:
            await bench.service.register(bench.world.os, receiver.url)
            await bench.service.register(bench.world.other_os, quick.url)
            for count in range(1, 4):
                await bench.change(followed)
                ring()
                await quick.came(count)
            assert quick.sequences == [1, 2, 3]
            assert receiver.sequences == [1]
            assert (await bench.state()).failures == 0  # still hanging
