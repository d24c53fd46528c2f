"""A hub as an operator runs it: the console program in processes of its own, spoken to over the network."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx

from tests.factories.identity import Claims, ec_key, form, jwks, signed
from tests.factories.world import BRIN, PROGRAMME, a_personal_number, an_oin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROGRAM = Path(sys.executable).with_name("koppelpunt")
PROJECT = Path(__file__).parents[2]
_START_SECONDS = 120
_STOP_SECONDS = 30
# A connection for each request, as hubs come and go; one client, as each loads certificates for 40 ms.
_HTTP = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))

REPORT = """
mutation Report($input: ReportStatusesInput!) {
  reportStatuses(input: $input) {
    results { messageId outcome originalOutcome code field findings registration { id status } }
  }
}
"""
FOLLOW = """
mutation Follow($input: FollowStudentsInput!) {
  followStudents(input: $input) {
    results { reference outcome code registrations { applicationId status } }
    feed { lastNumber earliestNumber at }
  }
}
"""
CHANGES = """
query Changes($after: Int!, $first: Int!) {
  statusChanges(after: $after, first: $first) { changes { number kind status applicationId } hasNextPage }
}
"""
LISTEN = """
subscription Listen($after: Int) {
  statusChanged(after: $after) { number kind reference status registration { applicationId } }
}
"""


def free_port() -> int:
    """Return a port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def a_message(**changed: object) -> dict[str, object]:
    """Return a status message that is all right, as JSON."""
    message: dict[str, object] = {
        "messageId": str(uuid4()),
        "applicationId": f"A-{uuid4().hex[:12]}",
        "personalNumber": a_personal_number(),
        "brin": BRIN,
        "programmeCode": PROGRAMME,
        "learningPath": "BOL",
        "schoolYear": 2026,
        "status": "RECEIVED",
        "occurredAt": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
    }
    return {name: value for name, value in {**message, **changed}.items() if value is not ...}


async def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something has become so."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


@dataclass
class LiveClient:
    """An OAuth client of a live hub; it gets and keeps tokens as vendors do."""

    hub: LiveHub
    client_id: str
    key_file: Path
    http: httpx.Client = _HTTP
    _token: tuple[float, str] = (0, "")

    def assertion(self, **changes: object) -> str:
        claims = Claims(self.client_id).of_assertion(aud=f"{self.hub.url}/oauth/token", **changes)
        return signed({"alg": "ES256", "kid": "ec", "typ": "JWT"}, claims, ec_key())

    def new_token(self) -> str:
        answered = self.http.post(f"{self.hub.url}/oauth/token", data=form(self.assertion()))
        assert answered.status_code == 200, answered.text
        body = answered.json()
        self._token = (time.time() + body["expires_in"] / 2, body["access_token"])
        return self._token[1]

    @property
    def token(self) -> str:
        """A token that is good for a while."""
        renew_at, token = self._token
        return token if time.time() < renew_at else self.new_token()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def post(self, query: str, variables: Mapping[str, object] | None = None) -> httpx.Response:
        return self.http.post(
            f"{self.hub.url}/graphql",
            json={"query": query, "variables": variables or {}},
            headers={**self.headers, "Accept": "application/graphql-response+json"},
        )

    def ask(self, query: str, variables: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Return the data of an answer without errors."""
        body = self.post(query, variables).json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    def report(self, *messages: Mapping[str, object], dry_run: bool = False) -> list[dict[str, Any]]:
        data = self.ask(REPORT, {"input": {"messages": messages, "dryRun": dry_run}})
        results: list[dict[str, Any]] = data["reportStatuses"]["results"]
        return results

    def follow(self, number: object, reference: str) -> dict[str, Any]:
        """Follow one student and return the payload."""
        students = [{"personalNumber": number, "reference": reference}]
        payload: dict[str, Any] = self.ask(FOLLOW, {"input": {"students": students}})["followStudents"]
        assert payload["results"][0]["outcome"] == "FOLLOWED"
        return payload

    def changes(self, after: int = 0) -> list[dict[str, Any]]:
        """Return all changes after a number, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.ask(CHANGES, {"after": after, "first": 1000})["statusChanges"]
            found += page["changes"]
            if not page["hasNextPage"]:
                return found
            after = found[-1]["number"]


@dataclass
class LiveHub:
    """The program with its settings; `start` and `stop` as often as one likes, the address stays."""

    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    @property
    def log_file(self) -> Path:
        return self.folder / "hub.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KOPPELPUNT_")}
        if kept.pop("PYTHONDONTWRITEBYTECODE", None):
            # Each command would compile every library anew.
            kept["PYTHONPYCACHEPREFIX"] = str(self.folder.parent / "pycache")
        return {**kept, **self.environment}

    def run(
        self, *arguments: object, seconds: float = 90, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the program to its end, which must come within so many seconds."""
        return subprocess.run(
            [PROGRAM, *map(str, arguments)],
            env={**self._environment(), **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def launch(self, *options: str) -> None:
        """Start serving; returns before it is ready."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--port", str(self.port), *options],
                env=self._environment(),
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def start(self, *options: str) -> None:
        """Start serving, and return once the hub says that it is ready."""
        self.launch(*options)
        assert self.process is not None
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                if _HTTP.get(f"{self.url}/health/ready", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue

    def signal(self, kind: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(kind)

    def wait(self, seconds: float = _STOP_SECONDS) -> int:
        """Wait for the end and return the exit status."""
        assert self.process is not None
        status = self.process.wait(seconds)
        self.process = None
        return status

    def stop(self) -> None:
        """End the hub as an operator does, if it runs."""
        if self.process is None or self.process.poll() is not None:
            return
        self.signal(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.wait()
            raise

    async def restart(self) -> None:
        await asyncio.to_thread(self.stop)
        await asyncio.to_thread(self.start)

    @property
    def key_file(self) -> Path:
        """The private key of all clients of the tests, as vendors keep theirs."""
        path = self.folder / "private-key.json"
        if not path.exists():
            path.write_text(json.dumps(ec_key().as_dict(private=True)), encoding="utf-8")
        return path

    def add_client(self, role: str, *options: str, oin: str | None = None) -> LiveClient:
        """Register a client with the command for it."""
        public = self.folder / f"{uuid4().hex}.jwks"
        public.write_text(json.dumps(jwks(ec_key())), encoding="utf-8")
        command = ["client", "add", "--name", f"a {role}", "--role", role, "--oin", oin or an_oin()]
        ended = self.run(*command, "--jwks", public, *options)
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
        return LiveClient(self, json.loads(ended.stdout)["client_id"], self.key_file)
