"""The hub is told to end while it works, and comes back: nothing is lost, nothing is repeated."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.domain.access import Role
from tests.factories.live_hub import LISTEN, REPORT, LiveClient, LiveHub, a_message, eventually
from tests.factories.world import BRIN

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES_AT_ONCE = 100
SENDERS = 4
# uvicorn ends in order, and then by the signal that it was sent, as its parent may want to know.
BY_SIGTERM = {0, -signal.SIGTERM}


@dataclass
class Ear:
    """A receiver that keeps what it heard, and resumes after its last number."""

    client: LiveClient
    heard: list[dict[str, Any]] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)
    feed_at_ack: list[int] = field(default_factory=list)

    async def listen(self) -> None:
        """Listen until the connection ends."""
        url, token = self.client.hub.websocket_url, await asyncio.to_thread(lambda: self.client.token)
        async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            try:
                payload = {"authorization": f"Bearer {token}"}
                await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
                after = self.heard[-1]["number"] if self.heard else 0
                subscription = {"query": LISTEN, "variables": {"after": after}}
                async for frame in socket:
                    message = json.loads(frame)
                    match message["type"]:
                        case "connection_ack":
                            self.feed_at_ack.append(message["payload"]["feed"]["lastNumber"])
                            await socket.send(
                                json.dumps({"type": "subscribe", "id": "1", "payload": subscription})
                            )
                        case "next":
                            self.heard.append(message["payload"]["data"]["statusChanged"])
                        case kind:
                            assert kind == "ping", message
            except ConnectionClosed:
                pass
            code = socket.close_code
            assert code is not None
            self.closed.append((code, socket.close_reason or ""))


@dataclass
class Sender:
    """Sends batch after batch, and knows which were answered."""

    client: LiveClient
    answered: list[dict[str, Any]] = field(default_factory=list)
    unanswered: list[list[dict[str, object]]] = field(default_factory=list)
    ended: bool = False

    async def send(self, going_on: Callable[[], bool]) -> None:
        """Send until told otherwise, or until the hub takes no more."""
        token = await asyncio.to_thread(lambda: self.client.token)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as http:
            while going_on():
                messages = [a_message() for _ in range(MESSAGES_AT_ONCE)]
                if not await self._post(http, messages):
                    self.unanswered.append(messages)
                    return

    async def _post(self, http: httpx.AsyncClient, messages: list[dict[str, object]]) -> bool:
        body = {"query": REPORT, "variables": {"input": {"messages": messages}}}
        try:
            answer = await http.post(f"{self.client.hub.url}/graphql", json=body)
        except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # The hub takes no new connection, or closed an idle one; a request that it took, it answers.
            return False
        assert answer.status_code in {200, 503}, answer.text
        if answer.status_code == 503:
            return False
        results = answer.json()["data"]["reportStatuses"]["results"]
        assert {one["outcome"] for one in results} <= {"ACCEPTED", "DUPLICATE"}
        self.answered += messages
        return True


class TestSigterm:
    @pytest.mark.slow
    @pytest.mark.timeout(180)
    async def test_lets_work_finish_says_1012_and_loses_and_repeats_nothing(
        self, own_hub: LiveHub, join
    ) -> None:
        await asyncio.to_thread(own_hub.start)
        sis, cambo = await join(own_hub, Role.SIS, BRIN), await join(own_hub, Role.CAMBO)
        ears = [Ear(cambo), Ear(cambo)]
        listening = [asyncio.create_task(ear.listen()) for ear in ears]
        senders = [Sender(sis) for _ in range(SENDERS)]
        sending = [asyncio.create_task(sender.send(lambda: True)) for sender in senders]
        await eventually(lambda: min(len(ear.heard) for ear in ears) >= 500)

        told = time.monotonic()
        own_hub.signal(signal.SIGTERM)
        assert await asyncio.to_thread(own_hub.wait) in BY_SIGTERM
        assert time.monotonic() - told < 20
        assert "hub_stopped" in own_hub.log
        async with asyncio.timeout(10):
            await asyncio.gather(*listening, *sending)
        assert [ear.closed for ear in ears] == [[(1012, "the server restarts")]] * 2
        assert "internal_error" not in own_hub.log
        assert "Traceback" not in own_hub.log

        await asyncio.to_thread(own_hub.start)
        listening = [asyncio.create_task(ear.listen()) for ear in ears]
        async with httpx.AsyncClient(headers=sis.headers, timeout=30) as http:
            for sender in senders:
                for messages in sender.unanswered:
                    assert await sender._post(http, messages)
        sent = {one["applicationId"] for sender in senders for one in sender.answered}
        await eventually(lambda: min(len(ear.heard) for ear in ears) >= len(sent))
        for ear in ears:
            assert [one["number"] for one in ear.heard] == list(range(1, len(sent) + 1))
            assert {one["registration"]["applicationId"] for one in ear.heard} == sent
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)

    async def test_ends_streams_of_events_too(self, own_hub: LiveHub, join) -> None:
        await asyncio.to_thread(own_hub.start)
        transfer_system = await join(own_hub, Role.OS)
        headers = {**transfer_system.headers, "Accept": "text/event-stream"}
        async with (
            httpx.AsyncClient(timeout=40) as http,
            http.stream("POST", f"{own_hub.url}/graphql", json={"query": LISTEN}, headers=headers) as answer,
        ):
            assert answer.status_code == 200
            told = time.monotonic()
            own_hub.signal(signal.SIGTERM)
            rest = (await answer.aread()).decode()
            assert time.monotonic() - told < 10
            assert "UNAVAILABLE" in rest
            assert "event: complete" in rest
        assert await asyncio.to_thread(own_hub.wait) in BY_SIGTERM
        assert time.monotonic() - told < 20
        assert "hub_stopped" in own_hub.log
