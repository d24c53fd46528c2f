"""Frames that no library would send: the connection ends as RFC 6455 says, and nobody else notices."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from app.domain.access import Role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.factories.live_hub import LiveClient, LiveHub

pytestmark = pytest.mark.slow

_CPU_SECONDS = 0.1
_MEMORY = 16 << 20  # bytes that a hub may grow by
TEXT, BINARY, PING, CONTINUED = 1, 2, 9, 0
CUT = 1006  # without a word
_UPGRADE = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
    "Sec-WebSocket-Key: {key}\r\n\r\n"
)


def frame(opcode: int, content: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """Return a frame; its mask is zero, so the content stands in it as it is."""
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    mask = 0x80 if masked else 0
    if len(content) < 126:
        head += bytes([mask | len(content)])
    elif len(content) < 1 << 16:
        head += bytes([mask | 126]) + struct.pack("!H", len(content))
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", len(content))
    return head + (bytes(4) if masked else b"") + content


def announced(size: int) -> bytes:
    """Return the head of a text of that size, and a little of it."""
    return bytes([0x80 | TEXT, 0x80 | 127]) + struct.pack("!Q", size) + bytes(4) + b"{"


INIT_OF_NOBODY = b'{"type":"connection_init"}'
# What is sent after the handshake, and the code that the hub closes with.
FRAMES: dict[str, tuple[bytes, int]] = {
    "4 EiB": (announced(1 << 62), 1009),
    "beyond all": (announced((1 << 64) - 1), 1009),
    "65,537 bytes": (announced(65_537), 1009),
    "70,000 bytes in parts": (
        frame(TEXT, b"x" * 35_000, fin=False) + frame(CONTINUED, b"x" * 35_000, fin=False),
        1009,
    ),
    "no mask": (frame(TEXT, b"{}", masked=False), 1002),
    "compressed": (frame(TEXT, b"{}", rsv=0x40), 1002),
    "a reserved bit": (frame(TEXT, b"{}", rsv=0x10), 1002),
    "a reserved opcode": (frame(3, b"{}"), 1002),
    "a ping in parts": (frame(PING, b"x", fin=False), 1002),
    "a ping of 126": (frame(PING, b"x" * 126), 1002),
    "the end of nothing": (frame(CONTINUED, b"x"), 1002),
    "a message in another": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002),
    "no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "half a character": (frame(TEXT, b'{"type":"ping\xc3"}'), 1007),
    "binary": (frame(BINARY, INIT_OF_NOBODY), 4400),
    "a close of one byte": (frame(8, b"x"), 1002),
    "never finished": (frame(TEXT, b"{", fin=False), 4408),
    "a flood of empty parts": (frame(TEXT, b"{", fin=False) + frame(CONTINUED, fin=False) * 20_000, CUT),
    "single letters": (frame(TEXT, b"{", fin=False) + frame(CONTINUED, b" ", fin=False) * 20_000, CUT),
    "a flood of pongs": (frame(10) * 20_000, CUT),
    "a flood of messages": (frame(TEXT, b'{"type":"ping"}') * 10_000, CUT),
    "a flood of pings": (frame(PING, b"x" * 125) * 20_000, CUT),
    "pings and no greeting": (frame(TEXT, b'{"type":"ping"}') * 100, 4401),
    "200 greetings": (frame(TEXT, INIT_OF_NOBODY) * 200, 4403),
}
SLOW = {4408}  # the hub waits for ten seconds


async def closed_with(reader: asyncio.StreamReader) -> int:
    """Return the code of the close frame, or CUT when there is none."""
    with suppress(asyncio.IncompleteReadError, ConnectionResetError):
        async with asyncio.timeout(30):
            while True:
                first, size = await reader.readexactly(2)
                if size == 126:
                    (size,) = struct.unpack("!H", await reader.readexactly(2))
                content = await reader.readexactly(size)
                if first & 0x0F == 8:
                    return int(struct.unpack("!H", content[:2])[0])
    return CUT


@asynccontextmanager
async def connected(hub: LiveHub) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect and shake hands."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(hub.url.rsplit(":", 1)[1]))
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(_UPGRADE.format(key=key).encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    yield reader, writer
    writer.transport.abort()


async def speak(writer: asyncio.StreamWriter, said: bytes) -> None:
    """Send as much as the hub takes."""
    with suppress(ConnectionError):
        writer.write(said)
        await writer.drain()


class TestFrames:
    @pytest.mark.parametrize(("said", "code"), FRAMES.values(), ids=FRAMES)
    async def test_end_the_connection_and_harm_nobody(
        self,
        hub: LiveHub,
        transfer_system: LiveClient,
        work: Callable[[], float],
        written: Callable[[], Any],
        said: bytes,
        code: int,
    ) -> None:
        before, used, memory = await written(), [], memory_of(hub)
        log_before = len(hub.log)
        for _ in range(1 if code in SLOW else 2):
            at = work()
            async with connected(hub) as (reader, writer):
                sending = asyncio.create_task(speak(writer, said))
                assert await closed_with(reader) == code
                sending.cancel()
            used.append(work() - at)
        assert await written() == before
        assert code in SLOW or min(used) < _CPU_SECONDS  # in ten seconds a hub does something by itself
        assert 0 < memory_of(hub) < memory + _MEMORY
        assert "Traceback" not in hub.log[log_before:]
        async with connected(hub) as (reader, writer):
            payload = {"authorization": f"Bearer {transfer_system.token}"}
            greeting = json.dumps({"type": "connection_init", "payload": payload}).encode()
            await speak(writer, frame(TEXT, greeting))
            assert b"connection_ack" in await reader.read(1_000)

    @pytest.mark.parametrize("said", [b'{"type":"pong"}', b'{"type":"complete","id":"1"}'])
    async def test_of_a_known_client_count_as_its_requests(self, a_hub: Any, join: Any, said: bytes) -> None:
        own = a_hub(rate_requests=5)
        await asyncio.to_thread(own.start)
        client = await join(own, Role.OS)
        async with connected(own) as (reader, writer):
            payload = {"authorization": f"Bearer {client.token}"}
            greeting = json.dumps({"type": "connection_init", "payload": payload}).encode()
            await speak(writer, frame(TEXT, greeting) + frame(TEXT, said) * 60)
            assert await closed_with(reader) == 1013
        own.stop()


def memory_of(hub: LiveHub) -> int:
    """Return the bytes that the hub's own processes hold."""
    assert hub.process is not None
    top = psutil.Process(hub.process.pid)
    processes = [top, *top.children(recursive=True)]
    return sum(one.memory_info().rss for one in processes if "postgres" not in one.name())
