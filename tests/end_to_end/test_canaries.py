"""After a whole simulation, with everything switched on: no personal number is anywhere, in no form."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import time
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.persistence.embedded import EmbeddedServer
from app.persistence.embedded.programs import program_folder
from app.simulation.people import students
from tests.end_to_end.attacks import ATTACKS
from tests.factories.collector import Collector, collecting
from tests.factories.live_hub import FOLLOW, PROGRAM, REPORT, LiveHub, a_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 7
REGISTRATIONS = 60
WEBHOOK = "mutation($url: String!) { registerWebhook(input: {url: $url}) { webhook { state } } }"
# A processing, a notification and a request: each kind of span that is waited for.
WANTED = {"report-statuses", "notify-status-changes", "POST /graphql"}
OWN = "A-sign-of-our-own"  # the application id of a message: what is written is seen


def simulated(count: int) -> list[str]:
    """Return the personal numbers of the first students of the simulation."""
    people = students(Random(SEED).randrange(900_000))
    return [next(people).personal_number for _ in range(count)]


def forms(number: str) -> Iterator[bytes]:
    """Yield how a number could be written: as text, encoded, or as an integer of 64 bits."""
    plain = number.encode()
    yield plain
    yield number.encode("utf-16-le")
    yield number.encode("utf-16-be")
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    for shift in range(3):  # base64 of a longer text has it at one of three places
        encoded = base64.b64encode(b"\0" * shift + plain)
        yield encoded[4 if shift else 0 : (shift + len(plain)) // 3 * 4]
    yield int(number).to_bytes(8, "little")
    yield int(number).to_bytes(8, "big")


def found(place: str, content: bytes, numbers: list[str]) -> list[tuple[str, int]]:
    """Return where which number stands (its place in the list, never the number itself)."""
    return [
        (place, which) for which, number in enumerate(numbers) if any(one in content for one in forms(number))
    ]


class TestForms:
    def test_are_found_in_whatever_is_around_them(self) -> None:
        number = "999990342"
        for around in range(4):
            text = b"x" * around + number.encode() + b"yz"
            for content in (
                text,
                base64.b64encode(text),
                text.hex().encode(),
                text.decode().encode("utf-16"),
            ):
                assert found("here", content, [number]) == [("here", 0)]
        assert found("here", b"999990343", [number]) == []


@pytest.mark.slow
@pytest.mark.timeout(500)
class TestPersonalNumbers:
    async def test_are_nowhere(self, tmp_path: Path) -> None:
        with collecting() as collector:
            hub = LiveHub(
                tmp_path,
                {
                    "KOPPELPUNT_DATA_DIR": str(tmp_path / "data"),
                    "KOPPELPUNT_OTLP_ENDPOINT": collector.url,
                    "KOPPELPUNT_RECORDS_OTLP_ENDPOINT": collector.url,
                    "KOPPELPUNT_WEBHOOK_ALLOW_PRIVATE": "true",
                    "KOPPELPUNT_LOG_LEVEL": "DEBUG",
                },
            )
            (tmp_path / "data").mkdir(mode=0o700)
            try:
                await asyncio.to_thread(_start, hub)
                await _look_everywhere(hub, collector)
            finally:
                await asyncio.to_thread(hub.stop)
            numbers = simulated(8)
            # The server has ended too, and has written everything from its memory to its tables.
            hits, seen = await asyncio.to_thread(_in_files, hub.folder / "data", numbers)
            assert any("base" in place for place in seen), "the scan does not see what was written"
            hits += found("log", hub.log_file.read_bytes(), numbers)
            for raw in collector.raw:
                hits += found("collector", raw, numbers)
            assert hits == []


def _start(hub: LiveHub) -> None:
    """Start the hub, with patience: on a busy machine a database of its own takes its time."""
    hub.launch()
    until = time.monotonic() + 200
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            if httpx.get(f"{hub.url}/health/ready", timeout=5).is_success:
                return
        assert hub.process is not None
        with suppress(subprocess.TimeoutExpired):
            hub.process.wait(0.2)
            break
    pytest.fail(hub.log)


async def _look_everywhere(hub: LiveHub, collector: Collector) -> None:
    numbers = simulated(8)
    played = await asyncio.to_thread(
        hub.run, "simulate", "--registrations", REGISTRATIONS, "--seed", SEED, "--url", hub.url
    )
    assert (played.returncode, played.stderr) == (0, ""), played.stdout
    told = [played.stdout.encode()]
    told += await asyncio.to_thread(_provoke, hub, collector, numbers)
    # The numbers are those of the simulation, and the records are there:
    asked = await asyncio.to_thread(_of_student, hub, numbers[0])
    assert asked.stdout.count(b"report-statuses") >= 1, asked.stderr
    async with asyncio.timeout(60):
        while not {span.name for span in collector.spans} >= WANTED:  # noqa: ASYNC110 - it rings no bell
            await asyncio.sleep(0.1)
    told += [asked.stdout, asked.stderr, await asyncio.to_thread(_metrics, hub)]

    server = EmbeddedServer(hub.folder / "data")
    await asyncio.to_thread(server.start)  # joins the one that runs
    try:
        connection = await asyncpg.connect(server.url)
        statements = await connection.fetch("select query from pg_stat_activity")
        told += [row["query"].encode() for row in statements if row["query"]]
        await connection.close()
        told.append(await asyncio.to_thread(_dump, server.url))
        assert [hit for place, one in enumerate(told) for hit in found(f"told {place}", one, numbers)] == []
        hits, seen = await asyncio.to_thread(_in_files, hub.folder / "data", numbers)
    finally:
        await asyncio.to_thread(server.stop)
    assert hits == []
    assert any("pg_wal" in place for place in seen), "the scan does not see what was written"


def _in_files(folder: Path, numbers: list[str]) -> tuple[list[tuple[str, int]], list[str]]:
    """Return where numbers stand in the files of a server, and the files that hold the sign of our own."""
    hits: list[tuple[str, int]] = []
    seen: list[str] = []
    for path in (one for one in folder.rglob("*") if one.is_file()):
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            hits += found(path.name, content, numbers)
            if OWN.encode() in content:
                seen.append(str(path))
    return hits, seen


def _provoke(hub: LiveHub, collector: Collector, numbers: list[str]) -> list[bytes]:
    """Say what is wrong, with numbers in all places; return what is answered."""
    sis, receiver = hub.add_client("sis", "--brin", "25LH"), hub.add_client("os")
    answers = [receiver.post(WEBHOOK, {"url": f"{collector.url}/hook"}).content]
    students_ = [{"personalNumber": one, "reference": f"r{place}"} for place, one in enumerate(numbers)]
    answers.append(receiver.post(FOLLOW, {"input": {"students": students_}}).content)
    message = a_message(personalNumber=numbers[0], applicationId=OWN)
    wrong: tuple[list[dict[str, object]], ...] = (
        [message],
        [message | {"personalNumber": numbers[1]}],
        [message | {"messageId": str(uuid4()), "personalNumber": numbers[2]}],
        [message | {"brin": "01AA", "messageId": str(uuid4())}],
        [message | {"personalNumber": f"{numbers[3]}x", "messageId": str(uuid4())}],
        [message | {"status": numbers[4]}],
        [message | {numbers[5]: numbers[5]}],
        [message | {"occurredAt": numbers[6]}],
    )
    answers += [sis.post(REPORT, {"input": {"messages": messages}}).content for messages in wrong]
    number = numbers[7]
    with httpx.Client(base_url=hub.url, headers=sis.headers) as http:
        for query in (f"{{ n{number} }}", f'{{ registration(id: "{number}") {{ id }} }}', f'"{number}"'):
            members = {"query": query, "operationName": f"N{number}", "extensions": {"n": number}}
            headers = {"X-Number": number, "traceparent": f"00-{number}", "Cookie": number}
            answers.append(http.post("/graphql", json=members, headers=headers).content)
        answers += [
            http.get(f"/{number}", params={"q": number}).content,
            http.post("/oauth/token", data={"client_assertion": number, "client_id": number}).content,
            http.post("/graphql", content=number, headers={"Authorization": f"Bearer {number}"}).content,
        ]
        answers += [http.request(one.method, "/graphql", content=one.body).content for one in ATTACKS]
    return answers


def _metrics(hub: LiveHub) -> bytes:
    return httpx.get(f"{hub.url}/metrics", timeout=30).content


def _of_student(hub: LiveHub, number: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [PROGRAM, "records", "of-student"],
        input=f"{number}\n".encode(),
        env=hub._environment(),
        cwd=hub.folder,
        capture_output=True,
        timeout=120,
        check=False,
    )


def _dump(url: str) -> bytes:
    program = program_folder() / "pg_dump"
    ended = subprocess.run([program, "--inserts", url], capture_output=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert b"processing_record" in ended.stdout
    return ended.stdout
