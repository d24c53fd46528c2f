"""Senders and receivers at a hub that is being broken, and what they recorded."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from app.bootstrap import Hub
from app.persistence.migrations import migrate
from app.settings import load_settings
from tests.factories.identity import Claims, ec_key, form, signed
from tests.factories.live_hub import free_port
from tests.factories.world import BRIN, PROGRAMME, World, a_personal_number, a_student
from tests.faults.checker import Heard, Recorder, Sent, problems
from tests.faults.live import LiveHub
from tests.faults.proxy import Proxy
from tests.faults.redis_server import Redis, redis_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.domain.access import Principal
    from tests.faults.namespace import Namespace

REPORT = """
mutation ($input: ReportStatusesInput!) {
  reportStatuses(input: $input) { results { outcome originalOutcome code } }
}
"""
HEAR = """
subscription ($after: Int) {
  statusChanged(after: $after) {
    number kind status occurredAt recordedAt registration { applicationId }
  }
}
"""
STATUSES = ("RECEIVED", "OFFERED")
SENDERS, APPLICATIONS, BATCH = 3, 12, 4
_INSIDE = Path(__file__).parent / "inside"


class Trial:
    """What is needed to break a hub and to see whether it kept its word."""

    def __init__(self, hub: LiveHub) -> None:
        self.hub = hub
        self.addresses = hub.addresses
        self.database: Proxy | None = None
        self.clients: list[Proxy] = []
        self.redis: Redis | None = None
        self.clock: Path | None = None
        self.deadly_point: Path | None = None
        self.sent: dict[tuple[str, str], Sent] = {}
        self.recorders: list[Recorder] = []
        self.closed: list[tuple[int | None, str | None]] = []
        self.accepted = 0
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._callers: dict[str, Principal] = {}
        self._tokens: dict[str, str] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        folder: Path,
        seed: int,
        *,
        workers: int = 2,
        hubs: int = 1,
        behind: Namespace | None = None,
        proxied: bool = False,
        redis: bool = False,
        jumping: bool = False,
        dying: bool = False,
        log: Path | None = None,
    ) -> AsyncIterator[Trial]:
        """Furnish a hub, start it, and let senders and receivers loose on it.

        `behind`: in a network of its own, with its database on this side of the line. `proxied`: with a
        proxy before the database and each hub. `redis`: with a Redis as its doorbell. `jumping`: with a clock
        that can be set. `dying`: with named points at which it can die. `log`: with its log in that file.
        """
        there = {} if behind is None else {"host": behind.there, "prefix": behind.prefix}
        hub = LiveHub(folder, seed, workers=workers, hubs=hubs, log=log, **there)  # type: ignore[arg-type]
        print(f"seed {seed}, log {hub.log}")  # noqa: T201 - what a failure can be repeated with
        trial = cls(hub)
        async with contextlib.AsyncExitStack() as stack:
            await asyncio.to_thread(hub.server.start)
            stack.push_async_callback(asyncio.to_thread, hub.server.stop)
            await trial._furnish()
            if redis:
                trial.redis = stack.enter_context(Redis(redis_program(), folder))
                hub.environment["KOPPELPUNT_BROADCAST_URL"] = trial.redis.url
            if jumping:
                trial._take_clock()
            if dying:
                trial.deadly_point = folder / "deadly-point"
                hub.environment |= {"PYTHONPATH": str(_INSIDE), "DEADLY_POINT": str(trial.deadly_point)}
            if behind is not None:
                await trial._lay_line(stack, behind)
            elif proxied:
                await trial._interpose(stack)
            stack.push_async_callback(asyncio.to_thread, hub.stop)
            hub.start()
            await hub.ready()
            stack.push_async_callback(trial._end)
            trial._begin()
            yield trial

    def _take_clock(self) -> None:
        self.clock = self.hub.folder / "clock"
        self.clock.write_text("0", encoding="utf-8")
        self.hub.environment |= {"PYTHONPATH": str(_INSIDE), "JUMPING_CLOCK": str(self.clock)}

    @property
    def _socket(self) -> Path:
        where = parse_qs(urlsplit(self.hub.server.url).query)
        return Path(where["host"][0]) / f".s.PGSQL.{where['port'][0]}"

    def _move_database(self, stack: contextlib.AsyncExitStack, where: str) -> None:
        """Let the hub find its database elsewhere."""
        hub = self.hub
        # What the hub does for its embedded server when it owns it.
        watching = asyncio.create_task(hub.server.watch())
        stack.callback(watching.cancel)
        hub.environment |= {
            "KOPPELPUNT_DATABASE_URL": f"{hub.server.url.split('?')[0]}?{where}",
            "KOPPELPUNT_PSEUDONYM_KEY_FILE": str(hub.folder / "pseudonym-keys.json"),
            "KOPPELPUNT_SIGNING_KEYS_FILE": str(hub.folder / "signing-keys.json"),
        }

    async def _lay_line(self, stack: contextlib.AsyncExitStack, behind: Namespace) -> None:
        port = free_port()
        await stack.enter_async_context(Proxy.listening(str(self._socket), port, host=behind.here))
        self._move_database(stack, f"host={behind.here}&port={port}&sslmode=disable")

    async def _interpose(self, stack: contextlib.AsyncExitStack) -> None:
        hub = self.hub
        own = tempfile.mkdtemp(prefix="proxy-", dir="/tmp")  # a path short enough for a socket
        stack.callback(shutil.rmtree, own)
        place = Path(own) / self._socket.name
        self.database = await stack.enter_async_context(Proxy.listening(str(self._socket), place))
        self._move_database(stack, f"host={own}&port={place.suffix[1:]}")
        self.addresses = []
        for port in hub.ports:
            before = free_port()
            self.clients.append(await stack.enter_async_context(Proxy.listening(port, before)))
            self.addresses.append(f"http://127.0.0.1:{before}")

    async def _furnish(self) -> None:
        await asyncio.to_thread(migrate, self.hub.server.url)
        settings = load_settings(data_dir=self.hub.folder, port=self.hub.ports[0])
        self.students = [a_personal_number(self.hub.random) for _ in range(SENDERS * APPLICATIONS)]
        async with Hub.open(settings, background=False) as opened:
            world = World(opened)
            await world.furnish()
            followed = range(0, len(self.students), 2)
            await world.services.following.follow(
                world.os, [a_student(self.students[index], f"S-{index}") for index in followed]
            )
        self._callers = {"sis": world.sis, "cambo": world.cambo, "os": world.os}
        everything = range(len(self.students))
        for name, indices in (("cambo", everything), ("cambo", everything), ("os", followed)):
            self.recorders.append(Recorder(name, frozenset(f"A-{index}" for index in indices)))

    def _begin(self) -> None:
        for recorder in self.recorders:
            self._tasks.append(asyncio.create_task(self._receive(recorder)))
        self._senders = [asyncio.create_task(self._send(part)) for part in range(SENDERS)]
        self._tasks += self._senders

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _address(self) -> str:
        return self.hub.random.choice(self.addresses)

    async def token(self, http: httpx.AsyncClient, name: str) -> str:
        if name not in self._tokens:
            client = self._callers[name].client_id
            claims = Claims(client).of_assertion(aud=f"{self.hub.issuer}/oauth/token")
            assertion = signed({"alg": "ES256", "kid": "ec"}, claims, ec_key())
            answer = (
                await http.post(f"{self._address()}/oauth/token", data=form(assertion))
            ).raise_for_status()
            self._tokens[name] = f"Bearer {answer.json()['access_token']}"
        return self._tokens[name]

    # --- senders

    async def _send(self, part: int) -> None:
        """Report one step of some own registrations at a time; what is not answered is sent again."""
        begun = datetime.now(UTC) - timedelta(hours=12)
        own = range(part * APPLICATIONS, (part + 1) * APPLICATIONS)
        steps = {index: itertools.count(1) for index in own}
        async with httpx.AsyncClient(timeout=8) as http:
            while not self._stopping:
                batch = []
                for index in self.hub.random.sample(own, BATCH):
                    at = begun + timedelta(seconds=next(steps[index]))
                    status = STATUSES[at.second % 2]
                    message, variables = a_step(f"A-{index}", self.students[index], at, status)
                    self.sent[message.key] = message
                    batch.append(variables)
                await self._until_answered(http, batch)

    async def _until_answered(self, http: httpx.AsyncClient, batch: list[dict[str, object]]) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, TypeError):
                http.headers["authorization"] = await self.token(http, "sis")
                results = await self.post(http, self._address(), batch)
                break
            await asyncio.sleep(0.1)
        for one, result in zip(batch, results, strict=True):
            outcome = result["originalOutcome"] or result["outcome"]
            assert outcome == "ACCEPTED", result
            key = (str(one["applicationId"]), _instant(str(one["occurredAt"])))
            self.sent[key] = replace(self.sent[key], accepted=True)
            self.accepted += 1

    async def post(
        self, http: httpx.AsyncClient, address: str, batch: list[dict[str, object]]
    ) -> list[dict[str, Any]]:
        """Report once, and return the results."""
        body = {"query": REPORT, "variables": {"input": {"messages": batch}}}
        answer = await http.post(f"{address}/graphql", json=body)
        results: list[dict[str, Any]] = answer.json()["data"]["reportStatuses"]["results"]
        return results

    # --- receivers

    async def _receive(self, recorder: Recorder) -> None:
        """Hear for ever; come back after the last number whenever the connection ends."""
        while True:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError, httpx.HTTPError, KeyError):
                await self._hear(recorder)
            await asyncio.sleep(0.1)

    async def _hear(self, recorder: Recorder) -> None:
        async with httpx.AsyncClient(timeout=8) as http:
            token = await self.token(http, recorder.receiver)
        async with connect(
            self._address().replace("http", "ws") + "/graphql",
            subprotocols=[Subprotocol("graphql-transport-ws")],
            open_timeout=5,
            close_timeout=1,
        ) as socket_:
            try:
                await self._listen(socket_, recorder, token)
            finally:
                self.closed.append((socket_.close_code, socket_.close_reason))

    async def _listen(self, socket_: ClientConnection, recorder: Recorder, token: str) -> None:
        await socket_.send(json.dumps({"type": "connection_init", "payload": {"authorization": token}}))
        after = recorder.last_number
        variables = {"after": after}
        heard: list[Heard] | None = None
        while True:
            # The server pings every 15 s: who hears nothing for longer has no connection.
            message = json.loads(await asyncio.wait_for(socket_.recv(), 20))
            match message["type"]:
                case "connection_ack":
                    payload = {"query": HEAR, "variables": variables}
                    await socket_.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
                    heard = recorder.connected(after)
                case "ping":
                    await socket_.send(json.dumps({"type": "pong"}))
                case "next":
                    change = message["payload"]["data"]["statusChanged"]
                    assert heard is not None
                    heard.append(
                        Heard(
                            change["number"],
                            change["registration"]["applicationId"],
                            _instant(change["occurredAt"]),
                            change["status"],
                        )
                    )
                case "error" | "complete":
                    return

    # --- what a test does

    async def goes_on(self, seconds: float = 60) -> float:
        """Wait until messages are accepted and every receiver hears of new ones; return for how long."""
        begun = asyncio.get_running_loop().time()
        accepted = self.accepted
        heard = [recorder.last_number for recorder in self.recorders]
        async with asyncio.timeout(seconds):
            while self.accepted < accepted + 3 * BATCH or any(
                recorder.last_number <= before for recorder, before in zip(self.recorders, heard, strict=True)
            ):
                await asyncio.sleep(0.05)
                for sender in self._senders:
                    if sender.done():
                        sender.result()
        return asyncio.get_running_loop().time() - begun

    async def numbers_go_on(self, seconds: float = 60) -> float:
        """Wait until what is recorded from now on gets its numbers; return for how long."""
        begun = asyncio.get_running_loop().time()
        recorded = await self._newest("id", "status_event")
        async with asyncio.timeout(seconds):
            while (await self._newest("event_id", "feed_entry")) <= recorded:  # noqa: ASYNC110 - a table
                await asyncio.sleep(0.02)
        return asyncio.get_running_loop().time() - begun

    async def _newest(self, column: str, table: str) -> int:
        while True:
            with contextlib.suppress(asyncpg.PostgresError, OSError):
                return int(str(await self.hub.ask(f"select coalesce(max({column}), 0) from {table}")))  # noqa: S608
            await asyncio.sleep(0.02)

    def _lost(self) -> bool:
        return any("loss" in one for one in problems(list(self.sent.values()), self.recorders))

    async def finish(self, seconds: float = 90) -> list[str]:
        """Let the senders end, wait until everything is heard, and return every promise that was broken."""
        self._stopping = True
        async with asyncio.timeout(seconds):
            await asyncio.gather(*self._senders)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._lost():  # noqa: ASYNC110 - many tasks, one question
                    await asyncio.sleep(0.3)
        found = problems(list(self.sent.values()), self.recorders)
        there = await self.hub.ask("select count(*) from status_message")
        if there != len(self.sent):
            found.append(f"database: {len(self.sent)} were sent and answered, {there} are there")
        return found


def a_step(
    application_id: str, personal_number: str, at: datetime | None = None, status: str = STATUSES[0]
) -> tuple[Sent, dict[str, object]]:
    """Return a message about a registration, as it is kept and as it is sent."""
    occurred_at = (at or datetime.now(UTC)).isoformat(timespec="microseconds")
    message = {
        "messageId": str(uuid4()),
        "applicationId": application_id,
        "personalNumber": personal_number,
        "brin": BRIN,
        "programmeCode": PROGRAMME,
        "learningPath": "BOL",
        "schoolYear": 2026,
        "status": status,
        "occurredAt": occurred_at,
    }
    return Sent(application_id, _instant(occurred_at), status), message


def _instant(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")
