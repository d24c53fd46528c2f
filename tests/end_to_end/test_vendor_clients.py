"""The clients of the page for vendors, run as they stand there, through what they promise to survive."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from app.domain.access import Role
from tests.factories.live_hub import LiveClient, LiveHub, a_message, eventually
from tests.factories.node import NODE, Talk, installed, talking
from tests.factories.world import BRIN, a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"
PAGE = CLIENTS.parent / "for-vendors.md"
STATUSES = ["RECEIVED", "OFFERED", "ENROLLED", "WITHDRAWN"]


def environment(client: LiveClient) -> dict[str, str]:
    return {
        **os.environ,
        "HUB_URL": client.hub.url,
        "CLIENT_ID": client.client_id,
        "KEY_FILE": str(client.key_file),
        "ACKNOWLEDGE_SECONDS": "0.2",
        "LONGEST_WAIT_SECONDS": "1",
    }


class Vendor:
    """A transfer system that runs one of the two programs, ends and runs it again."""

    def __init__(self, program: str, client: LiveClient, folder: Path) -> None:
        self._client = client
        self._folder = folder
        if program.endswith(".ts"):
            self._command = [NODE, installed(CLIENTS / program, folder)]
        else:
            self._command = [Path(sys.executable), CLIENTS / program]
        self.changes: list[dict[str, Any]] = []

    def follows(self, *numbers: str) -> None:
        students = [{"personalNumber": n, "reference": f"r-{place}"} for place, n in enumerate(numbers)]
        (self._folder / "students.json").write_text(json.dumps(students), encoding="utf-8")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Talk]:
        files = ["students.json", "state.json"]
        command = [*self._command, *files]
        async with talking(*command, environment=environment(self._client), folder=self._folder) as talk:
            yield talk

    async def hear(self, talk: Talk, up_to: int) -> None:
        """Wait until the change with a number is handled."""
        while not self.changes or self.changes[-1]["number"] < up_to:
            change = await talk.until(lambda line: line["event"] == "change")
            last = self.changes[-1] if self.changes else {"number": 0}
            if talk.heard[-1] is self._first_change(talk) and change["number"] == last["number"]:
                # It was killed between handling a change and storing its number.
                assert change["status"] == last["status"]
                continue
            self.changes.append(change)

    @staticmethod
    def _first_change(talk: Talk) -> dict[str, Any]:
        return next(line for line in talk.heard if line["event"] == "change")

    @property
    def errors(self) -> str:
        return (self._folder / "stderr").read_text(encoding="utf-8")


def registration(number: str) -> list[dict[str, object]]:
    """Return four messages about one registration of a student."""
    first = a_message(personalNumber=number)
    return [
        {**first, "messageId": str(uuid4()), "status": status, "occurredAt": f"2026-09-0{day}T12:00:00Z"}
        for day, status in enumerate(STATUSES, start=1)
    ]


@pytest.mark.parametrize("program", ["transfer_system.py", "transfer-system.ts"])
class TestTransferSystem:
    @pytest.mark.slow
    @pytest.mark.timeout(240)
    async def test_hears_everything_once_through_crashes_restarts_and_ended_tokens(
        self, program: str, own_hub: LiveHub, join, tmp_path: Path
    ) -> None:
        own_hub.environment["KOPPELPUNT_ACCESS_TOKEN_SECONDS"] = "10"
        await asyncio.to_thread(own_hub.start)
        sis, client = await join(own_hub, Role.SIS, BRIN), await join(own_hub, Role.OS)
        numbers = [a_personal_number() for _ in range(3)]
        early, *messages = [m for four in zip(*map(registration, numbers), strict=True) for m in four]
        sis.report(early)
        vendor = Vendor(program, client, tmp_path)
        vendor.follows(*numbers)
        async with vendor.running() as talk:
            followed = await talk.until(lambda line: line["event"] == "followed")
            assert followed["registrations"][0]["status"] == "RECEIVED"  # the snapshot
            await talk.until(lambda line: line["event"] == "listening")
            sis.report(*messages[:3])
            await vendor.hear(talk, 3)
        sis.report(*messages[3:5])  # while it is dead
        async with vendor.running() as talk:
            await vendor.hear(talk, 5)
            await asyncio.to_thread(own_hub.stop)
            await talk.until(lambda line: line["event"] == "disconnected")
            await asyncio.to_thread(own_hub.start)
            sis.report(*messages[5:9])
            await vendor.hear(talk, 9)
            # The life of the token ends meanwhile: 4403, and on with a new one.
            await talk.until(lambda line: line["event"] == "disconnected")
            sis.report(*messages[9:])
            await vendor.hear(talk, 11)
            await self._acknowledged(client, 11)
        assert [one["number"] for one in vendor.changes] == list(range(1, 12)), vendor.errors
        assert [one["status"] for one in vendor.changes] == [message["status"] for message in messages]
        everything = "".join(map(json.dumps, [*vendor.changes])) + vendor.errors + own_hub.log
        assert not [number for number in numbers if number in everything]

    async def test_takes_the_snapshot_anew_when_its_number_means_nothing(
        self, program: str, hub: LiveHub, sis: LiveClient, transfer_system: LiveClient, tmp_path: Path
    ) -> None:
        message = a_message()
        transfer_system.follow(message["personalNumber"], "r-0")
        sis.report(message)
        vendor = Vendor(program, transfer_system, tmp_path)
        vendor.follows()
        (tmp_path / "state.json").write_text('{"last": 4711}', encoding="utf-8")
        async with vendor.running() as talk:
            refused = await talk.until(lambda line: line["event"] == "refused")
            assert refused["code"] == "CURSOR_AHEAD"
            taken = await talk.until(lambda line: line["event"] == "snapshot")
            assert taken["registrations"][0]["applicationId"] == message["applicationId"]
            await talk.until(lambda line: line["event"] == "listening")
            later = {**message, "messageId": str(uuid4()), "status": "OFFERED", "occurredAt": _now()}
            sis.report(later)
            change = await talk.until(lambda line: line["event"] == "change" and line["status"] == "OFFERED")
            assert change["number"] == 2

    @staticmethod
    async def _acknowledged(client: LiveClient, number: int) -> None:
        """Wait until the hub has the acknowledgement: an older one never takes it back."""
        text = "mutation($n: Int!) { acknowledgeStatusChanges(input: { number: $n }) { acknowledged } }"
        async with asyncio.timeout(15):
            while True:
                data = await asyncio.to_thread(client.ask, text, {"n": 0})
                if data["acknowledgeStatusChanges"]["acknowledged"] == number:
                    return


def _now() -> str:
    return str(a_message()["occurredAt"])


class TestSis:
    @pytest.mark.slow
    async def test_gets_an_outcome_for_everything_although_the_hub_dies_meanwhile(
        self, own_hub: LiveHub, join, tmp_path: Path
    ) -> None:
        await asyncio.to_thread(own_hub.start)
        client = await join(own_hub, Role.SIS, BRIN)
        cambo = await join(own_hub, Role.CAMBO)
        messages = [a_message() for _ in range(2000)] + [a_message(personalNumber="123456789")]
        (tmp_path / "outbox.jsonl").write_text("\n".join(map(json.dumps, messages)), encoding="utf-8")
        command = [sys.executable, CLIENTS / "sis.py", "outbox.jsonl", "done.jsonl"]
        done = tmp_path / "done.jsonl"
        async with talking(*command, environment=environment(client), folder=tmp_path) as talk:
            await eventually(lambda: done.exists() and bool(done.read_text(encoding="utf-8")))
            own_hub.signal(signal.SIGKILL)
            await asyncio.to_thread(own_hub.wait)
            await asyncio.to_thread(own_hub.start)
            async with asyncio.timeout(60):
                assert await talk.process.wait() == 0
        results = [json.loads(line) for line in done.read_text(encoding="utf-8").splitlines()]
        assert [one["messageId"] for one in results] == [one["messageId"] for one in messages]
        first = [one["originalOutcome"] or one["outcome"] for one in results]
        assert first == ["ACCEPTED"] * 2000 + ["REFUSED"]
        assert results[-1]["code"] == "PERSONAL_NUMBER_INVALID"
        await eventually(lambda: len(cambo.changes()) == 2000)
        heard = cambo.changes()
        assert [one["number"] for one in heard] == list(range(1, 2001))
        assert {one["applicationId"] for one in heard} == {one["applicationId"] for one in messages[:-1]}


class TestPageForVendors:
    def test_names_every_client(self) -> None:
        page = PAGE.read_text(encoding="utf-8")
        assert [file.name for file in CLIENTS.iterdir() if f"clients/{file.name}" not in page] == []

    def test_names_only_files_that_exist(self) -> None:
        page = PAGE.read_text(encoding="utf-8")
        links = {part.partition(")")[0].partition("#")[0] for part in page.split("](")[1:]}
        assert [
            link for link in links if not link.startswith("http") and not (PAGE.parent / link).exists()
        ] == []
