"""Clients that do not read: a thousand beside one that does, and one that does not read its answer."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect

from app.domain.access import Role
from tests.factories.live_hub import LISTEN, LiveClient, LiveHub, a_message
from tests.factories.world import a_personal_number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SILENT = 999
ROUNDS = 200
ATTEMPTS = 4
BURST = 800  # changes that come at once: some 350 KiB for each connection
UPGRADE = (
    b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
WHOLE = (
    "changes { number recordedAt registration { id applicationId status statusSince institution { name } } }"
)
KERNEL = Path("/proc/sys/net/ipv4/tcp_wmem")
MOST_KEPT = 160  # KiB for each connection that does not read, in the process and in the kernel


async def subscribed(client: LiveClient) -> Any:
    """Return an open websocket with a live subscription."""
    websocket = await connect(
        client.hub.websocket_url,
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
        compression=None,
        max_queue=None,
        ping_interval=None,
    )
    payload = {"authorization": f"Bearer {client.token}"}
    await websocket.send(json.dumps({"type": "connection_init", "payload": payload}))
    assert json.loads(await websocket.recv())["type"] == "connection_ack"
    await websocket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": LISTEN}}))
    return websocket


async def heard(websocket: Any) -> dict[str, Any]:
    """Return the next change, with an answer to every ping before it."""
    while (message := json.loads(await asyncio.wait_for(websocket.recv(), 20)))["type"] != "next":
        if message["type"] == "ping":
            await websocket.send(json.dumps({"type": "pong"}))
    return cast("dict[str, Any]", message)


async def latencies(fast: Any, sis: LiveClient, number: str) -> list[float]:
    """Report changes one by one; return the seconds from each report to its arrival."""
    found = []
    for _ in range(ROUNDS):
        message = a_message(personalNumber=number)
        sending = time.perf_counter()
        answer = asyncio.create_task(asyncio.to_thread(sis.report, message))
        await heard(fast)
        arrived = time.perf_counter()
        await answer
        found.append(arrived - sending)
    return found


async def burst(fast: Any, sis: LiveClient, number: str) -> None:
    """Report many changes at once, and return when the hub has done with them whatever it will."""
    messages = [a_message(personalNumber=number) for _ in range(BURST)]
    answer = asyncio.create_task(asyncio.to_thread(sis.report, *messages))
    for _ in range(BURST):
        await heard(fast)
    await answer
    before, used = 0.0, seconds_used(sis.hub)
    while used - before > 0.05:
        await asyncio.sleep(0.5)
        before, used = used, seconds_used(sis.hub)


async def narrow(hub: LiveHub) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection whose end takes little that is not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", hub.port))
    return await asyncio.open_connection(sock=connection, limit=2**16)


async def silent_peer(client: LiveClient, token: str) -> asyncio.StreamWriter:
    """Open a raw socket that asks for everything and then never reads again."""
    reader, writer = await narrow(client.hub)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
    await reader.readexactly(4)
    writer.write(frame({"id": "1", "type": "subscribe", "payload": {"query": LISTEN}}))
    await writer.drain()
    cast("asyncio.Transport", writer.transport).pause_reading()
    return writer


def frame(message: object) -> bytes:
    """Return a masked text frame (RFC 6455, 5.2); the mask is zero."""
    text = json.dumps(message).encode()
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + text


def process_of(hub: LiveHub) -> psutil.Process:
    """Return the hub's process."""
    assert hub.process is not None
    return psutil.Process(hub.process.pid)


def seconds_used(hub: LiveHub) -> float:
    """Return the seconds of CPU that the hub's process has used."""
    times = process_of(hub).cpu_times()
    return float(times.user + times.system)


def kept(hub: LiveHub) -> float:
    """Return the KiB that the hub's process holds, and the kernel for all TCP connections (proc(5))."""
    sockets = Path("/proc/net/sockstat").read_text().partition("TCP:")[2].split("\n")[0].split()
    pages = int(sockets[sockets.index("mem") + 1])
    return (int(process_of(hub).memory_info().rss) + pages * resource.getpagesize()) / 1024


def connections(hub: LiveHub) -> int:
    """Return how many websockets are open."""
    lines = httpx.get(f"{hub.url}/metrics").text.splitlines()
    return int(float(next(line for line in lines if line.startswith("koppelpunt_connections ")).split()[1]))


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(400)
class TestSlowConsumers:
    async def test_cost_nobody_else(
        self, own_hub: LiveHub, join: Callable[..., Awaitable[LiveClient]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        own_hub.environment["KOPPELPUNT_MAX_CONNECTIONS_PER_CLIENT"] = "2000"
        await asyncio.to_thread(own_hub.start)
        sis = await join(own_hub, Role.SIS, "25LH")
        receiver = await join(own_hub, Role.OS)
        number = a_personal_number()
        receiver.follow(number, "S-1")
        fast = await subscribed(receiver)
        await burst(fast, sis, number)
        await latencies(fast, sis, number)  # the first ones pay for what is loaded on use
        alone, before = await latencies(fast, sis, number), kept(own_hub)
        token = receiver.token
        silent = [await silent_peer(receiver, token) for _ in range(SILENT)]
        idle = (kept(own_hub) - before) / SILENT
        await burst(fast, sis, number)
        growth = (kept(own_hub) - before) / SILENT
        attempt = 0
        while True:
            attempt += 1
            for writer in silent:  # they say that they are there, and read nothing
                writer.write(frame({"type": "pong"}))
            beside = await latencies(fast, sis, number)
            # A minute after they are full the hub cuts them, which is another test.
            assert connections(own_hub) == SILENT + 1
            median, crowded = statistics.median(alone), statistics.median(beside)
            worst, worst_crowded = (statistics.quantiles(one, n=100)[98] for one in (alone, beside))
            with capsys.disabled():
                print(  # noqa: T201 - the figures are what this is for
                    f"\n{SILENT} silent connections: {idle:.0f} KiB each, {growth:.0f} when full; median"
                    f" {median * 1e3:.0f} and {crowded * 1e3:.0f} ms, p99 {worst * 1e3:.0f} and"
                    f" {worst_crowded * 1e3:.0f} ms without and with them"
                )
            if worst_crowded <= 2 * worst or attempt == ATTEMPTS:
                break
        # Another process on this machine may spoil one attempt, not all of them.
        assert worst_crowded <= 2 * worst
        # What each of them costs is bounded: nothing piles up for who does not read.
        assert growth < MOST_KEPT
        numbers = [change["number"] for change in receiver.changes()]
        assert numbers == list(range(1, 2 * BURST + (2 + attempt) * ROUNDS + 1))
        for writer in silent:
            writer.transport.abort()
        await fast.close()


@pytest.mark.slow
@pytest.mark.skipif(
    not KERNEL.exists() or int(KERNEL.read_text().split()[2]) > 4 << 20,
    reason="the kernel takes more than may be asked for",
)
class TestAnAnswerThatIsNotRead:
    async def test_is_followed_by_no_websocket(
        self, own_hub: LiveHub, join: Callable[..., Awaitable[LiveClient]]
    ) -> None:
        """The hub would not learn that this one's buffers are full, and take for it whatever comes."""
        await asyncio.to_thread(own_hub.start)
        sis = await join(own_hub, Role.SIS, "25LH")
        receiver = await join(own_hub, Role.OS)
        number = a_personal_number()
        receiver.follow(number, "S-1")
        sis.report(*(a_message(personalNumber=number) for _ in range(1000)))
        while len(receiver.changes()) < 1000:  # noqa: ASYNC110 - it is asked for
            await asyncio.sleep(0.1)
        # Two answers of as much as may be asked for at once are more than the kernel takes.
        pages = (f"page{count}: statusChanges(after: 0, first: 1000) {{ {WHOLE} }}" for count in range(6))
        asking = json.dumps({"query": f"{{ {' '.join(pages)} }}"}).encode()
        head = f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {receiver.token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(asking)}\r\n\r\n"
        reader, writer = await narrow(own_hub)
        cast("asyncio.Transport", writer.transport).pause_reading()
        for _ in range(2):
            writer.write(head.encode() + asking)
            await asyncio.sleep(2)  # until it is answered, and nothing of it read
        writer.write(UPGRADE)
        await asyncio.sleep(1)
        cast("asyncio.Transport", writer.transport).resume_reading()
        for _ in range(2):
            answer = await reader.readuntil(b"\r\n\r\n")
            size = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert size > 1_500_000
            await reader.readexactly(size)
        assert b" 405 " in await reader.readuntil(b"\r\n")
        writer.close()
