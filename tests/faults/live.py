"""A hub as it runs in production, with its own PostgreSQL, and clients that record what they hear."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import httpx
import psutil
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from app.bootstrap import Hub
from app.persistence.embedded import EmbeddedServer
from app.persistence.migrations import migrate
from app.settings import load_settings
from tests.factories.identity import Claims, ec_key, form, signed
from tests.factories.world import BRIN, PROGRAMME, World, a_personal_number, a_student
from tests.faults.checker import Heard, Recorder, Sent, problems

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.domain.access import Principal

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


class LiveHub:
    """`koppelpunt serve` in processes of its own."""

    def __init__(self, folder: Path, seed: int, *, workers: int = 2) -> None:
        self.random = random.Random(seed)
        self._folder = folder
        self._workers = workers
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.server = EmbeddedServer(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "hub.log"

    def start(self) -> None:
        """Run the hub in the background."""
        environment = {name: value for name, value in os.environ.items() if "KOPPELPUNT" not in name}
        environment |= {"KOPPELPUNT_DATA_DIR": str(self._folder), "KOPPELPUNT_LOG_LEVEL": "INFO"}
        program = Path(sys.executable).parent / "koppelpunt"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, "serve", "--port", str(self.port), "--workers", str(self._workers)],
                env=environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )

    @property
    def process(self) -> psutil.Process:
        """The process that was started."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that serve."""
        return [
            child
            for child in self.process.children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]

    async def ready(self, seconds: float = 60) -> None:
        """Wait until the hub says that it is ready."""
        async with asyncio.timeout(seconds), httpx.AsyncClient() as http:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{self.address}/health/ready")).status_code == 200:
                        return
                await asyncio.sleep(0.1)

    async def leader(self) -> psutil.Process:
        """Return the process that numbers."""
        async with asyncio.timeout(15):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError, psutil.NoSuchProcess):
                    name = await self.ask(
                        "select a.application_name from pg_locks l join pg_stat_activity a using (pid)"
                        " where l.locktype = 'advisory' and l.granted"
                        " and a.application_name like 'koppelpunt dispatcher%' limit 1"
                    )
                    if name:
                        return psutil.Process(int(str(name).rsplit(" ", 1)[1]))
                await asyncio.sleep(0.1)

    async def ask(self, statement: str) -> object:
        """Ask the database."""
        connection = await asyncpg.connect(self.server.url, timeout=5)
        try:
            return await connection.fetchval(statement)
        finally:
            connection.terminate()

    def stop(self) -> int:
        """Tell the hub to end; return its exit status."""
        if self._process is None:
            return 0
        with contextlib.suppress(psutil.NoSuchProcess):
            for worker in self.workers():
                worker.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(40)
        except subprocess.TimeoutExpired:
            for worker in self.workers():
                worker.kill()
            self._process.kill()
            raise


class Trial:
    """Senders and receivers at a hub that is being broken, and what they recorded."""

    def __init__(self, hub: LiveHub) -> None:
        self.hub = hub
        self.sent: dict[tuple[str, str], Sent] = {}
        self.recorders: list[Recorder] = []
        self.accepted = 0
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._callers: dict[str, Principal] = {}
        self._tokens: dict[str, str] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path, seed: int, *, workers: int = 2) -> AsyncIterator[Trial]:
        """Furnish a hub, start it, and let senders and receivers loose on it."""
        hub = LiveHub(folder, seed, workers=workers)
        print(f"seed {seed}, log {hub.log}")  # noqa: T201 - what a failure can be repeated with
        trial = cls(hub)
        await asyncio.to_thread(hub.server.start)
        try:
            await trial._furnish()
            hub.start()
            await hub.ready()
            await trial._begin()
            yield trial
        finally:
            for task in trial._tasks:
                task.cancel()
            await asyncio.gather(*trial._tasks, return_exceptions=True)
            try:
                await asyncio.to_thread(hub.stop)
            finally:
                await asyncio.to_thread(hub.server.stop)

    async def _furnish(self) -> None:
        await asyncio.to_thread(migrate, self.hub.server.url)
        settings = load_settings(data_dir=self.hub._folder, port=self.hub.port)
        self._students = [a_personal_number(self.hub.random) for _ in range(SENDERS * APPLICATIONS)]
        async with Hub.open(settings, background=False) as opened:
            world = World(opened)
            await world.furnish()
            followed = range(0, len(self._students), 2)
            await world.services.following.follow(
                world.os, [a_student(self._students[index], f"S-{index}") for index in followed]
            )
        self._callers = {"sis": world.sis, "cambo": world.cambo, "os": world.os}
        everything = range(len(self._students))
        for name, indices in (("cambo", everything), ("cambo", everything), ("os", followed)):
            self.recorders.append(Recorder(name, frozenset(f"A-{index}" for index in indices)))

    async def _begin(self) -> None:
        for recorder in self.recorders:
            self._tasks.append(asyncio.create_task(self._receive(recorder)))
        self._senders = [asyncio.create_task(self._send(part)) for part in range(SENDERS)]
        self._tasks += self._senders

    async def _token(self, http: httpx.AsyncClient, name: str) -> str:
        if name not in self._tokens:
            client = self._callers[name].client_id
            endpoint = f"{self.hub.address}/oauth/token"
            claims = Claims(client).of_assertion(aud=endpoint)
            assertion = signed({"alg": "ES256", "kid": "ec"}, claims, ec_key())
            answer = (await http.post(endpoint, data=form(assertion))).raise_for_status()
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
                    step = next(steps[index])
                    at = (begun + timedelta(seconds=step)).isoformat(timespec="microseconds")
                    batch.append(
                        {
                            "messageId": str(uuid4()),
                            "applicationId": f"A-{index}",
                            "personalNumber": self._students[index],
                            "brin": BRIN,
                            "programmeCode": PROGRAMME,
                            "learningPath": "BOL",
                            "schoolYear": 2026,
                            "status": STATUSES[step % 2],
                            "occurredAt": at,
                        }
                    )
                for one in batch:
                    message = Sent(
                        str(one["applicationId"]), _instant(str(one["occurredAt"])), str(one["status"])
                    )
                    self.sent[message.key] = message
                await self._until_answered(http, batch)

    async def _until_answered(self, http: httpx.AsyncClient, batch: list[dict[str, object]]) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, TypeError):
                answer = await http.post(
                    f"{self.hub.address}/graphql",
                    json={"query": REPORT, "variables": {"input": {"messages": batch}}},
                    headers={"authorization": await self._token(http, "sis")},
                )
                results = answer.json()["data"]["reportStatuses"]["results"]
                break
            await asyncio.sleep(0.1)
        for one, result in zip(batch, results, strict=True):
            outcome = result["originalOutcome"] or result["outcome"]
            assert outcome == "ACCEPTED", result
            key = (str(one["applicationId"]), _instant(str(one["occurredAt"])))
            self.sent[key] = replace(self.sent[key], accepted=True)
            self.accepted += 1

    # --- receivers

    async def _receive(self, recorder: Recorder) -> None:
        """Hear for ever; come back after the last number whenever the connection ends."""
        while True:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError, httpx.HTTPError, KeyError):
                await self._hear(recorder)
            await asyncio.sleep(0.1)

    async def _hear(self, recorder: Recorder) -> None:
        async with httpx.AsyncClient(timeout=8) as http:
            token = await self._token(http, recorder.receiver)
        async with connect(
            self.hub.address.replace("http", "ws") + "/graphql",
            subprotocols=[Subprotocol("graphql-transport-ws")],
            open_timeout=5,
            close_timeout=1,
        ) as socket_:
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

    async def goes_on(self, seconds: float = 40) -> float:
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

    def _lost(self) -> bool:
        return any("loss" in one for one in problems(list(self.sent.values()), self.recorders))

    async def finish(self, seconds: float = 60) -> list[str]:
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


def _instant(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")
