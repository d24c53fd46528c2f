"""`koppelpunt demo`: what a newcomer sees, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from pathlib import Path

_FIRST_CHANGE_SECONDS = 60
_STOP_SECONDS = 40


async def start(folder: Path, port: int) -> Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KOPPELPUNT_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.cli",
        "demo",
        "--port",
        str(port),
        cwd=folder,
        env={**kept, "KOPPELPUNT_DATA_DIR": str(folder / "data")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def changes(process: Process, count: int) -> list[str]:
    """Read what the demo prints until so many changes have arrived; return all lines."""
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(_FIRST_CHANGE_SECONDS):
        while sum("→" in line for line in lines) < count:
            line = await process.stdout.readline()
            assert line, lines
            lines.append(line.decode().rstrip())
    return lines


async def stopped(process: Process, number: signal.Signals) -> int:
    """End it; return its status. Reads what it still prints, for a full pipe would hold it up."""
    process.send_signal(number)
    async with asyncio.timeout(_STOP_SECONDS):
        await process.communicate()
    assert process.returncode is not None
    return process.returncode


def left_behind(folder: Path) -> list[psutil.Process]:
    """Return the processes that have something to do with a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if any(str(folder) in word for word in words):
            found.append(process)
    return found


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestDemo:
    async def test_shows_changes_answers_the_page_and_ends_without_a_trace(self, tmp_path, port):
        url = f"http://127.0.0.1:{port}"
        for number in (signal.SIGTERM, signal.SIGINT):  # the second time on the same data
            process = await start(tmp_path, port)
            try:
                printed = "\n".join(await changes(process, 3))
                assert f"{url}/" in printed
                assert "koppelpunt token" in printed
                await self.answers_the_page(url)
            finally:
                status = await stopped(process, number)
            assert status == 0
            assert left_behind(tmp_path) == []

    async def test_takes_its_hub_along_when_it_is_killed(self, tmp_path, port):
        process = await start(tmp_path, port)
        await changes(process, 1)
        assert await stopped(process, signal.SIGKILL) == -signal.SIGKILL
        async with asyncio.timeout(_STOP_SECONDS):
            while left_behind(tmp_path):  # noqa: ASYNC110 - processes that are not ours
                await asyncio.sleep(0.1)

    async def answers_the_page(self, url: str) -> None:
        async with httpx.AsyncClient(base_url=url) as http:
            answer = await http.get("/demo/session")
            assert answer.headers["cache-control"] == "no-store"
            session = answer.json()
            asked = await self.ask(http, session["transferSystem"]["token"], "{ viewer { role } }")
            assert asked["viewer"]["role"] == "OS"
            institution = session["institution"]
            which = f'brin: "{institution["brin"]}", schoolYear: {institution["schoolYear"]}'
            figures = "multipleRegistrationStatistics(WHICH) { total { multiple { value } } }"
            query = "{ figures: " + figures.replace("WHICH", which) + " }"
            answered = await self.ask(http, institution["token"], query)
            assert answered["figures"]["total"]["multiple"]["value"] >= 5
            rebound = await http.get("/demo/session", headers={"host": "elsewhere.example"})
            assert rebound.status_code == httpx.codes.NOT_FOUND
            assert "token" not in rebound.text

    async def ask(self, http: httpx.AsyncClient, token: str, query: str) -> dict[str, Any]:
        answer = await http.post(
            "/graphql", json={"query": query}, headers={"Authorization": f"Bearer {token}"}
        )
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def test_ends_with_one_line_when_the_port_is_taken(self, tmp_path):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            process = await start(tmp_path, taken.getsockname()[1])
            async with asyncio.timeout(_FIRST_CHANGE_SECONDS):
                _, errors = await process.communicate()
        assert process.returncode == 1
        assert len(errors.decode().splitlines()) == 1
        assert b"cannot listen" in errors
