"""Webhooks: what is told to a receiver that keeps no connection, against a real HTTPS server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from app.domain import codes
from app.domain.access import Role
from app.domain.errors import BadUserInputError, ConflictError, ForbiddenError, NotFoundError
from app.domain.webhook import WebhookProblem, WebhookState
from app.feed.doorbell import Bell
from app.feed.webhook_delivery import Sender, WebhookDelivery
from app.feed.webhook_secrets import WebhookSecrets
from app.feed.webhook_sender import WebhookSender, trusted
from app.otlp.collector import resource
from app.otlp.traces import OtlpTracing
from app.persistence.numbering import NumberingConnection
from app.services.webhooks import WebhookService
from app.tracing import TraceContext
from graphql_schema.schema import schema
from tests.factories.collector import collecting, plain
from tests.factories.receiver import BROKEN, HANG, HOST, TAKEN, an_authority, answer, listening
from tests.factories.world import BRIN, a_message, a_personal_number

if TYPE_CHECKING:
    from tests.factories.receiver import Arrival
    from tests.factories.world import World

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PUBLIC = "93.184.216.34"
LOCAL = "127.0.0.1"


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def move(self, step: timedelta) -> None:
        self.now += step


class Names:
    """A name server that says what a test wants."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.usual = [LOCAL]

    async def resolve(self, host: str, port: int) -> list[str]:
        assert port
        found = self.addresses.get(host, self.usual)
        if not found:
            raise socket.gaierror
        return found


class Bench:
    """A hub that does nothing by itself, and the parts of its webhooks with a clock and names of the test."""

    def __init__(self, world: World, ca_file) -> None:
        self.world = world
        self.database = world.hub.database
        self.clock = Clock()
        self.names = Names()
        self.secrets = WebhookSecrets(bytes(32))
        self.ca_file = ca_file
        self.service = self.owners(allow_private=True)
        self.delivery = self.deliverer()

    def sender(self, kind=WebhookSender, *, allow_private=True, seconds=5.0, ca_file=...):
        tls = trusted(self.ca_file if ca_file is ... else ca_file)
        return kind(tls, allow_private=allow_private, resolve=self.names.resolve, seconds=seconds)

    def owners(self, *, allow_private: bool) -> WebhookService:
        sender = self.sender(allow_private=allow_private)
        return WebhookService(self.database, sender, self.secrets, self.clock)

    def deliverer(self, kind=WebhookSender, secrets=None, **how) -> WebhookDelivery:
        presented = Sender(
            "urn:nld:oin:00000099000000000000:systeem:koppelpunt", "https://hub.example/graphql"
        )
        return WebhookDelivery(
            self.database, self.sender(kind, **how), secrets or self.secrets, presented, self.clock
        )

    async def change(self, number: str, count: int = 1) -> None:
        """Let something change for a student, and give it its number."""
        for _ in range(count):
            await self.world.report(a_message(personal_number=number))
            await self.give_numbers()

    async def give_numbers(self) -> None:
        now = datetime.now(UTC)
        async with NumberingConnection.open(self.database) as numbering, numbering.transaction() as pending:
            await pending.number(0, 1000, codes.today(now), now, vavo=False)

    async def state(self, by=None):
        found = await self.service.webhook(by or self.world.os)
        assert found is not None
        return found

    async def execute(self, statement: str, *values: object) -> None:
        async with self.database.connection() as connection:
            await connection.execute(statement, *values)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return an_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def bench(open_world, authority) -> Bench:
    world = await open_world(background=False)
    await world.furnish()
    return Bench(world, authority.ca_file)


@pytest.fixture
async def receiver(authority):
    async with listening(authority.server) as running:
        yield running


@pytest.fixture
async def followed(bench) -> str:
    number = a_personal_number()
    await bench.world.follow(number, "S-1")
    return number


def verified(arrival: Arrival, secret: str) -> bool:
    """Verify as a receiver does after the specification of Standard Webhooks."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{arrival.id}.{arrival.headers['webhook-timestamp']}.".encode() + arrival.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    versions = [one.partition(",") for one in arrival.headers["webhook-signature"].split(" ")]
    return any(
        version == "v1" and hmac.compare_digest(signature, expected) for version, _, signature in versions
    )


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


@asynccontextmanager
async def at_work(bench, delivery):
    doorbell = bench.world.hub.doorbell
    task = asyncio.create_task(delivery.run(doorbell))
    try:
        yield lambda: doorbell.ring(Bell.ENTRIES)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


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


class TestPrivateAddress:
    @pytest.mark.parametrize(
        "url",
        [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://10.0.0.1:8443/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.100.100.200/",
            "https://localhost/",
            "https://224.0.0.1/",
        ],
    )
    async def test_is_refused_at_registration(self, bench, url):
        service = WebhookService(
            bench.database, WebhookSender(trusted(None), allow_private=False), bench.secrets, bench.clock
        )
        with pytest.raises(BadUserInputError) as refused:
            await service.register(bench.world.os, url)
        assert refused.value.field == "input.url"
        assert await bench.world.count("webhook") == 0

    @pytest.mark.parametrize("found", [["10.0.0.1"], [PUBLIC, LOCAL], [LOCAL, PUBLIC], ["fd00::1"], []])
    async def test_behind_a_name_is_refused_at_registration(self, bench, found):
        bench.names.usual = found
        with pytest.raises(BadUserInputError):
            await bench.owners(allow_private=False).register(bench.world.os, f"https://{HOST}/")
        assert await bench.world.count("webhook") == 0

    async def test_is_refused_at_delivery_when_the_name_moved_there(self, bench, receiver, followed):
        bench.names.usual = [PUBLIC]
        await bench.owners(allow_private=False).register(bench.world.os, receiver.url)
        await bench.change(followed)
        for failures, rebound in enumerate(([LOCAL], [PUBLIC, LOCAL], ["::ffff:127.0.0.1"]), 1):
            bench.names.usual = rebound
            await bench.deliverer(allow_private=False).once()
            state = await bench.state()
            assert (state.last_problem, state.failures) == (WebhookProblem.ADDRESS_NOT_ALLOWED, failures)
            bench.clock.move(HOUR)
        assert receiver.connections == 0

    async def test_is_judged_and_used_from_one_look_up(self, bench, receiver, followed):
        """A name server that answers a public address first and a private one then wins nothing."""
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        looked = []

        async def resolve(host: str, port: int) -> list[str]:
            looked.append(host)
            return [PUBLIC] if len(looked) == 1 else [LOCAL]

        connected: list[str] = []

        class Watched(WebhookSender):
            async def _post_to(self, ip, address, headers, body):
                connected.append(ip)
                raise OSError

        delivery = bench.deliverer(Watched, allow_private=False)
        delivery._sender._resolve = resolve
        await delivery.once()
        assert looked == [HOST]
        assert connected == [PUBLIC]
        assert receiver.connections == 0

    async def test_without_tls_is_refused_unless_the_setting_allows_it(self, bench, followed):
        async with listening(None) as plain:
            url = plain.url.replace("https", "http")
            bench.names.usual = [PUBLIC]
            with pytest.raises(BadUserInputError):
                await bench.owners(allow_private=False).register(bench.world.os, url)
            bench.names.usual = [LOCAL]
            await bench.service.register(bench.world.os, url)
            await bench.change(followed)
            await bench.deliverer(allow_private=False).once()
            assert (await bench.state()).last_problem is WebhookProblem.ADDRESS_NOT_ALLOWED
            assert plain.connections == 0
            bench.clock.move(MINUTE)
            await bench.deliverer(allow_private=True).once()
            assert plain.sequences == [1]

    async def test_of_a_proxy_in_the_environment_is_not_used(self, bench, receiver, followed, monkeypatch):
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        await bench.deliverer().once()
        assert receiver.sequences == [1]


class TestSecret:
    async def test_is_shown_once_and_not_readable_in_the_database(self, bench, receiver):
        webhook, secret = await bench.service.register(bench.world.os, receiver.url)
        raw = base64.b64decode(secret.removeprefix("whsec_"))
        assert len(raw) == 32
        async with bench.database.connection() as connection:
            text = await connection.fetchval("select w::text from webhook w")
            sealed = await connection.fetchval("select sealed_secret from webhook")
        for readable in (secret, secret[6:], raw.hex()):
            assert readable not in text
        assert raw not in sealed
        assert secret not in f"{webhook} {await bench.state()}"

    async def test_of_one_webhook_does_not_open_in_another_row(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.service.register(bench.world.other_os, receiver.url)
        await bench.execute(
            """update webhook set sealed_secret =
               (select w.sealed_secret from webhook w where w.organisation_id = $1)""",
            bench.world.other_os.organisation_id,
        )
        await bench.change(followed)
        await bench.delivery.once()
        assert (await bench.state()).last_problem is WebhookProblem.SECRET_UNREADABLE

    async def test_is_another_one_after_a_new_registration(self, bench, receiver, followed):
        _, old = await bench.service.register(bench.world.os, receiver.url)
        await bench.service.remove(bench.world.os)
        _, new = await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        await bench.delivery.once()
        assert verified(receiver.arrivals[0], new)
        assert not verified(receiver.arrivals[0], old)


class TestOwner:
    async def test_alone_sees_resets_and_removes_it(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        receiver.answers.append(answer("410 Gone"))
        await bench.delivery.once()
        for stranger in (bench.world.other_os, bench.world.cambo):
            assert await bench.service.webhook(stranger) is None
            with pytest.raises(NotFoundError):
                await bench.service.reset(stranger)
            assert not await bench.service.remove(stranger)
        assert (await bench.state()).state is WebhookState.STOPPED

    async def test_is_never_who_has_no_feed(self, bench, receiver):
        operator = await bench.world.principal(Role.OPERATOR)
        for caller in (bench.world.sis, bench.world.institution, operator):
            for call in (
                bench.service.webhook(caller),
                bench.service.reset(caller),
                bench.service.remove(caller),
                bench.service.register(caller, receiver.url),
            ):
                with pytest.raises(ForbiddenError):
                    await call
        assert await bench.world.count("webhook") == 0

    async def test_shares_it_with_the_other_clients_of_the_organisation(self, bench, receiver):
        await bench.service.register(bench.world.os, receiver.url)
        colleague = await bench.world.principal(Role.OS, oin=bench.world.os.oin)
        assert (await bench.state(colleague)).url == receiver.url

    async def test_has_one_also_when_registering_twice_at_once(self, bench, receiver):
        results = await asyncio.gather(
            *(bench.service.register(bench.world.os, receiver.url) for _ in range(5)), return_exceptions=True
        )
        assert sum(isinstance(result, ConflictError) for result in results) == 4
        assert await bench.world.count("webhook") == 1


class TestInGraphQL:
    async def test_is_registered_seen_reset_and_removed(self, open_world, authority, receiver):
        world = await open_world(background=False, webhook_allow_private=True)
        await world.furnish()

        async def ask(document, by=None, **variables):
            context = world.hub.context(by or world.os)
            result = await schema.execute(document, variable_values=variables, context_value=context)
            return result.data, [error.original_error for error in result.errors or ()]

        register = """mutation ($url: String!) { registerWebhook(input: {url: $url}) {
          secret
          webhook { url state lastDeliveredNumber lastAttemptAt nextAttemptAt failures lastError } } }"""
        url = f"https://127.0.0.1:{receiver.port}/"
        data, errors = await ask(register, url=url)
        assert errors == []
        assert data["registerWebhook"]["secret"].startswith("whsec_")
        seen = {
            "url": url,
            "state": "ACTIVE",
            "lastDeliveredNumber": 0,
            "lastAttemptAt": None,
            "nextAttemptAt": None,
            "failures": 0,
            "lastError": None,
        }
        assert data["registerWebhook"]["webhook"] == seen
        fields = " ".join(seen)
        assert (await ask(f"{{ webhook {{ {fields} }} }}"))[0] == {"webhook": seen}
        assert (await ask("{ webhook { url } }", by=world.other_os))[0] == {"webhook": None}
        assert [error.code for error in (await ask(register, url=url))[1]] == ["CONFLICT"]
        reset = "mutation { resetWebhook { webhook { state } } }"
        assert (await ask(reset))[0] == {"resetWebhook": {"webhook": {"state": "ACTIVE"}}}
        assert [error.code for error in (await ask(reset, by=world.other_os))[1]] == ["NOT_FOUND"]
        remove = "mutation { removeWebhook { removed } }"
        assert (await ask(remove))[0] == {"removeWebhook": {"removed": True}}
        assert (await ask(remove))[0] == {"removeWebhook": {"removed": False}}


class TestHub:
    async def test_notifies_by_itself_and_the_receiver_finds_the_change(
        self, open_world, authority, receiver
    ):
        world = await open_world(webhook_allow_private=True, webhook_ca_file=authority.ca_file)
        await world.furnish()
        number = a_personal_number()
        await world.follow(number, "S-1")
        _, secret = await world.services.webhooks.register(
            world.os, f"https://localhost:{receiver.port}/hooks"
        )
        await world.report(a_message(personal_number=number))
        await receiver.came(1)
        (arrival,) = receiver.arrivals
        assert verified(arrival, secret)
        assert str(UUID(arrival.id)) == arrival.event["id"]
        assert arrival.event["dataref"].endswith("/graphql")
        page = await world.services.feed.page(world.os, arrival.sequence - 1, 10)
        assert [change.number for change in page.changes] == [arrival.sequence]
        assert number not in json.dumps(arrival.headers) + arrival.body.decode()
