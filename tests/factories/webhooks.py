"""Webhooks in tests: a hub that does nothing by itself, with a clock and names of the test."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from app.domain import codes
from app.feed.doorbell import Bell
from app.feed.webhook_delivery import Sender, WebhookDelivery
from app.feed.webhook_secrets import WebhookSecrets
from app.feed.webhook_sender import WebhookSender, trusted
from app.persistence.numbering import NumberingConnection
from app.services.webhooks import WebhookService
from tests.factories.world import a_message

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


def verified(arrival: Arrival, secret: str) -> bool:
    """Verify as a receiver does after the specification of Standard Webhooks."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{arrival.id}.{arrival.headers['webhook-timestamp']}.".encode() + arrival.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    versions = [one.partition(",") for one in arrival.headers["webhook-signature"].split(" ")]
    return any(
        version == "v1" and hmac.compare_digest(signature, expected) for version, _, signature in versions
    )


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
