"""Each row of the table: the answer and its code, nothing written, the next one served, little work."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.end_to_end.attacks import ATTACKS, CANARIES, VIEWER, Attack, canary
from tests.factories.live_hub import LISTEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.factories.live_hub import LiveClient, LiveHub

pytestmark = pytest.mark.slow

HARMLESS = Attack("none", json.dumps({"query": VIEWER}).encode())
_CPU_SECONDS = 0.1


@pytest.fixture(scope="module")
def http(hub: LiveHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.url, timeout=60) as client:
        yield client


def sent(http: httpx.Client, client: LiveClient, attack: Attack) -> httpx.Response:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/graphql-response+json",
        **client.headers,
        **attack.headers,
    }
    return http.request(
        attack.method,
        attack.path,
        content=attack.body,
        headers={name: value for name, value in headers.items() if value is not None},
    )


def holds(data: Any, expected: Any) -> bool:
    """Tell whether an answer holds what is expected of it; it may hold more."""
    if isinstance(expected, dict):
        return isinstance(data, dict) and all(holds(data.get(name), one) for name, one in expected.items())
    if isinstance(expected, list):
        return isinstance(data, list) and len(data) == len(expected) and all(map(holds, data, expected))
    return bool(data == expected)


class TestAttacks:
    def test_have_names_of_their_own(self) -> None:
        assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 90

    @pytest.mark.parametrize("attack", [pytest.param(one, id=one.name) for one in ATTACKS])
    async def test_get_their_answer_and_do_no_harm(
        self,
        hub: LiveHub,
        sis: LiveClient,
        http: httpx.Client,
        work: Callable[[], float],
        written: Callable[[], Any],
        attack: Attack,
    ) -> None:
        before = await written()
        used = []
        for _ in range(2):  # what the hub does beside it may fall into one of two
            at = work()
            sent(http, sis, attack)
            used.append(work() - at)
        answered = sent(http, sis, attack)
        assert answered.status_code == attack.status, answered.text
        if answered.headers["content-type"].startswith("application/"):
            body = answered.json()
            assert tuple(one["extensions"]["code"] for one in body.get("errors", ())) == attack.codes, body
            if attack.data is not None:
                assert holds(body["data"], attack.data), body
            assert "Did you mean" not in answered.text
        assert not [number for number in CANARIES if number in answered.text]
        assert "Traceback" not in answered.text
        assert await written() == before
        assert min(used) < _CPU_SECONDS
        assert sent(http, sis, HARMLESS).json()["data"] == {"viewer": {"role": "SIS"}}


INIT = {"type": "connection_init"}  # the token is put in


def subscribing(query: str, id_: object = "1", **variables: object) -> dict[str, object]:
    return {"type": "subscribe", "id": id_, "payload": {"query": query, "variables": variables}}


FOREVER = subscribing(LISTEN)
# What is said, and the code with which the connection is closed.
CLOSING: dict[str, tuple[list[object], int]] = {
    "no JSON": (["x"], 4400),
    "a list": (["[]"], 4400),
    "a number": (["1"], 4400),
    "null": (["null"], 4400),
    "a binary frame": ([b'{"type":"ping"}'], 4400),
    "no type": (["{}"], 4400),
    "a type that is a number": ([{"type": 5}], 4400),
    "an unknown type": ([{"type": "nonsense"}], 4400),
    "a key twice": (['{"type":"ping","type":"ping"}'], 4400),
    "100,000 deep is cut short": (['{"type":"ping","payload":' + "[" * 60_000], 4400),
    "a lone surrogate": (['{"type":"ping","payload":{"a":"\\ud800"}}'], 4400),
    "NUL": (['{"type":"ping","payload":{"a":"\\u0000"}}'], 4400),
    "a payload that is a text": ([{**INIT, "payload": "x"}], 4400),
    "an unknown type after init": ([INIT, {"type": "nonsense"}], 4400),
    "an id that is a list": ([INIT, subscribing(LISTEN, ["1"])], 4400),
    "an id that is empty": ([INIT, subscribing(LISTEN, "")], 4400),
    "an id of 129": ([INIT, subscribing(LISTEN, "x" * 129)], 4400),
    "no payload": ([INIT, {"type": "subscribe", "id": "1"}], 4400),
    "no query": ([INIT, {"type": "subscribe", "id": "1", "payload": {}}], 4400),
    "the end of no id": ([INIT, {"type": "complete", "id": 1}], 4400),
    "to subscribe before init": ([FOREVER], 4401),
    "no token": ([{**INIT, "payload": None}], 4403),
    "a bad token": ([{**INIT, "payload": {"authorization": f"Bearer {canary()}"}}], 4403),
    "a token that is a number": ([{**INIT, "payload": {"authorization": int(canary())}}], 4403),
    "silence": ([], 4408),
    "an id twice": ([INIT, FOREVER, FOREVER], 4409),
    "init twice": ([INIT, INIT], 4429),
    "70,000 bytes": ([{"type": "ping", "payload": {"x": "x" * 70_000}}], 1009),
}
MUTATION = "mutation { unfollowStudents(input: {references: []}) { unknown } }"
TWO_FIELDS = "subscription { a: statusChanged { number } b: statusChanged { number } }"
# What is subscribed to, and the code of the error; the connection stays.
REFUSED: dict[str, tuple[str, str]] = {
    "a query": ("{ viewer { role } }", "OPERATION_NOT_ALLOWED"),
    "a mutation": (
        MUTATION,
        "OPERATION_NOT_ALLOWED",
    ),
    "two operations": (f"{LISTEN} query B {{ viewer {{ role }} }}", "BAD_USER_INPUT"),
    "two fields": (
        TWO_FIELDS,
        "BAD_USER_INPUT",
    ),
    "no document": ("subscription {", "BAD_USER_INPUT"),
    "a personal number": (
        f"subscription {{ n{canary()} }}",
        "BAD_USER_INPUT",
    ),
    "3,000 fields": ("subscription { statusChanged {" + " number" * 3_000 + "} }", "LIMIT_EXCEEDED"),
}


class TestWebsocketAttacks:
    @pytest.mark.parametrize(("said", "code"), CLOSING.values(), ids=CLOSING)
    async def test_close_the_connection_with_their_code(
        self,
        transfer_system: LiveClient,
        work: Callable[[], float],
        written: Callable[[], Any],
        said: list[object],
        code: int,
    ) -> None:
        before = await written()
        used = []
        for _ in range(1 if code == 4408 else 2):
            at = work()
            async with talking(transfer_system, *said) as socket:
                with suppress(ConnectionClosed):
                    async with asyncio.timeout(20):
                        while True:
                            await socket.recv()
                assert socket.close_code == code
            used.append(work() - at)
        assert await written() == before
        assert code == 4408 or min(used) < _CPU_SECONDS
        async with talking(transfer_system, INIT) as next_one:
            assert json.loads(await next_one.recv())["type"] == "connection_ack"

    @pytest.mark.parametrize(("query", "code"), REFUSED.values(), ids=REFUSED)
    async def test_are_refused_and_the_connection_stays(
        self,
        transfer_system: LiveClient,
        work: Callable[[], float],
        written: Callable[[], Any],
        query: str,
        code: str,
    ) -> None:
        before = await written()
        async with talking(transfer_system, INIT) as socket:
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            used = []
            for _ in range(2):
                at = work()
                await socket.send(json.dumps(subscribing(query)))
                answered = json.loads(await socket.recv())
                used.append(work() - at)
                assert (answered["type"], answered["id"]) == ("error", "1")
                assert {one["extensions"]["code"] for one in answered["payload"]} == {code}
                assert not [number for number in CANARIES if number in str(answered)]
            await socket.send('{"type":"ping"}')
            assert json.loads(await socket.recv()) == {"type": "pong"}
        assert await written() == before
        assert min(used) < _CPU_SECONDS

    async def test_of_a_foreign_origin_get_no_connection(self, hub: LiveHub) -> None:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(
                hub.websocket_url,
                subprotocols=[Subprotocol("graphql-transport-ws")],
                additional_headers={"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
            )
        assert refusal.value.response.status_code == 403

    async def test_of_another_protocol_are_closed(self, hub: LiveHub) -> None:
        async with connect(hub.websocket_url, subprotocols=[Subprotocol("graphql-ws")]) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4406


@asynccontextmanager
async def talking(client: LiveClient, *said: object) -> AsyncIterator[ClientConnection]:
    """Connect and say all that; INIT gets its token."""
    async with connect(
        client.hub.websocket_url, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None
    ) as socket:
        for one in said:
            told = {**INIT, "payload": {"authorization": f"Bearer {client.token}"}} if one is INIT else one
            with suppress(ConnectionClosed):
                await socket.send(told if isinstance(told, str | bytes) else json.dumps(told))
        yield socket


class TestTraces:
    """Runs last in this file: everything above has left its traces, if it leaves any."""

    def test_hold_no_number_and_no_fault(self, hub: LiveHub) -> None:
        assert len(CANARIES) > 20
        log = hub.log
        assert [number for number in CANARIES if number in log] == []
        assert "internal_error" not in log
