"""Whole answers, from the bytes of a request to the calls of the transport."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.transport.application import HubApplication
from app.transport.exchange import WHOLE
from app.transport.http_protocol import HubHttpProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

HEAD = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 4\r\nx-one: 1\r\n"
ANSWER = HEAD + b"\r\nbody"
CLOSING = HEAD + b"connection: close\r\n\r\nbody"
REQUEST = b"POST /graphql HTTP/1.1\r\nHost: hub\r\nContent-Length: 2\r\n\r\n{}"


class Recorder(asyncio.Transport):
    """Notes what is written by one call, and the end."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes] = []
        self.reads = True

    def write(self, data: Any) -> None:
        self.calls.append(bytes(data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.calls.append(b"".join(list_of_data))

    def close(self) -> None:
        self.calls.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.calls

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class Hub:
    """A connection to an application that reads a request and gives the same answer to each."""

    def __init__(self) -> None:
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"today")]
        self.bodies: list[bytes] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.transport = Recorder()
        application = HubApplication()
        application.graphql = self._answer
        config = uvicorn.Config(application, log_config=None, access_log=False)
        config.load()
        self.protocol = HubHttpProtocol(config, self.state, {})
        self.protocol.connection_made(self.transport)

    async def _answer(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        await self.may_answer.wait()
        await send({"type": WHOLE, "status": 200, "lines": b"x-one: 1\r\n", "body": b"body"})

    async def hear(self, data: bytes) -> list[bytes]:
        """Return what is written and done after these bytes came."""
        self.transport.calls.clear()
        self.protocol.data_received(data)
        return await self.settled()

    async def settled(self) -> list[bytes]:
        for _ in range(20):
            await asyncio.sleep(0)
        return self.transport.calls


@pytest.fixture
async def hub() -> Hub:
    return Hub()


class TestWholeAnswer:
    async def test_leaves_by_one_call(self, hub: Hub) -> None:
        assert await hub.hear(REQUEST) == [ANSWER]
        assert await hub.hear(REQUEST) == [ANSWER]
        assert hub.state.total_requests == 2

    @pytest.mark.parametrize(
        "request_line",
        [
            b"POST /graphql?x=1 HTTP/1.1",
            b"POST http://hub/graphql HTTP/1.1",
            b"POST /%67raphql HTTP/1.1",
            b"PUT /graphql HTTP/1.1",
        ],
    )
    async def test_is_the_same_in_parts(self, hub: Hub, request_line: bytes) -> None:
        calls = await hub.hear(REQUEST.replace(b"POST /graphql HTTP/1.1", request_line))
        assert len(calls) == 2
        assert b"".join(calls) == ANSWER

    async def test_has_no_body_for_who_asks_for_the_head(self, hub: Hub) -> None:
        assert b"".join(await hub.hear(b"HEAD /graphql HTTP/1.1\r\nHost: hub\r\n\r\n")) == HEAD + b"\r\n"

    async def test_waits_for_the_whole_request(self, hub: Hub) -> None:
        assert await hub.hear(REQUEST[:-1]) == []
        assert await hub.hear(REQUEST[-1:]) == [ANSWER]
        assert hub.bodies == [b"{}"]

    async def test_waits_until_the_client_reads(self, hub: Hub) -> None:
        hub.protocol.pause_writing()
        assert await hub.hear(REQUEST) == []
        hub.protocol.resume_writing()
        assert await hub.settled() == [ANSWER]

    async def test_is_not_written_to_who_has_left(self, hub: Hub) -> None:
        hub.may_answer.clear()
        assert await hub.hear(REQUEST) == []
        hub.protocol.connection_lost(OSError())
        hub.may_answer.set()
        assert await hub.settled() == []
        assert not hub.state.tasks

    async def test_is_not_written_to_who_leaves_while_it_waits(self, hub: Hub) -> None:
        hub.protocol.pause_writing()
        await hub.hear(REQUEST)
        hub.protocol.connection_lost(OSError())
        assert await hub.settled() == []
        assert not hub.state.tasks


class TestConnection:
    async def test_answers_pipelined_requests_in_their_order(self, hub: Hub) -> None:
        hub.may_answer.clear()
        assert await hub.hear(REQUEST) == []
        assert await hub.hear(REQUEST.replace(b"{}", b"[]") + REQUEST.replace(b"{}", b"()")) == []
        assert hub.bodies == [b"{}"]
        assert not hub.transport.reads
        hub.may_answer.set()
        assert await hub.settled() == [ANSWER] * 3
        assert hub.bodies == [b"{}", b"[]", b"()"]
        assert hub.transport.reads

    async def test_answers_in_order_what_takes_other_ways(self, hub: Hub) -> None:
        hub.may_answer.clear()
        await hub.hear(REQUEST + b"GET /nowhere HTTP/1.1\r\nHost: hub\r\n\r\n" + REQUEST)
        hub.may_answer.set()
        calls = await hub.settled()
        assert calls[0] == calls[-1] == ANSWER
        assert b"404" in calls[1]

    async def test_becomes_no_websocket_before_all_is_answered(self, hub: Hub) -> None:
        """Else two would write on it, and only the websocket would learn that the client has left."""
        hub.may_answer.clear()
        upgrade = b"GET /nowhere HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        assert await hub.hear(REQUEST + upgrade) == []
        hub.may_answer.set()
        calls = await hub.settled()
        assert calls[0] == ANSWER
        assert calls[1].startswith(b"HTTP/1.1 404 ")

    async def test_becomes_no_websocket_before_all_is_read(self, hub: Hub) -> None:
        """Else that its buffers are full is what it would never be told."""
        assert await hub.hear(REQUEST) == [ANSWER]
        hub.protocol.pause_writing()
        upgrade = b"GET /nowhere HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        assert await hub.hear(upgrade) == []
        hub.protocol.resume_writing()
        calls = await hub.settled()
        assert calls[0].startswith(b"HTTP/1.1 404 ")

    @pytest.mark.parametrize(
        "asked",
        [
            REQUEST.replace(b"Host", b"Connection: close\r\nHost"),
            REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ],
    )
    async def test_is_closed_for_who_asks_for_it(self, hub: Hub, asked: bytes) -> None:
        assert await hub.hear(asked) == [CLOSING, b"closed"]

    async def test_is_closed_when_nothing_comes_any_more(self, hub: Hub) -> None:
        hub.protocol.timeout_keep_alive = 0
        await hub.hear(REQUEST)
        await asyncio.sleep(0.01)
        assert hub.transport.calls == [ANSWER, b"closed"]

    async def test_ends_with_the_server_once_it_has_answered(self, hub: Hub) -> None:
        hub.may_answer.clear()
        await hub.hear(REQUEST)
        hub.protocol.shutdown()
        assert hub.transport.calls == []
        assert len(hub.state.tasks) == 1  # which the server waits for
        hub.may_answer.set()
        assert await hub.settled() == [CLOSING, b"closed"]
        assert not hub.state.tasks

    async def test_tells_who_asks_to_go_on(self, hub: Hub) -> None:
        asked = REQUEST.replace(b"Host", b"Expect: 100-continue\r\nHost")
        assert await hub.hear(asked[:-2]) == [b"HTTP/1.1 100 Continue\r\n\r\n"]
        assert await hub.hear(asked[-2:]) == [ANSWER]

    async def test_takes_bodies_in_chunks(self, hub: Hub) -> None:
        head = REQUEST.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")[:-2]
        assert await hub.hear(head + b"1\r\n{\r\n") == []
        assert await hub.hear(b"1\r\n}\r\n0\r\n\r\n") == [ANSWER]
        assert hub.bodies == [b"{}"]

    async def test_reads_no_more_of_a_body_than_is_taken(self, hub: Hub) -> None:
        head = REQUEST.replace(b"Content-Length: 2", b"Content-Length: 200000")[:-2]
        read = []
        hub.protocol.data_received(head + b"x" * 100_000)
        read.append(hub.transport.reads)
        await hub.settled()
        read.append(hub.transport.reads)
        assert read == [False, True]
        assert await hub.hear(b"x" * 100_000) == [ANSWER]
        assert len(hub.bodies[0]) == 200_000
