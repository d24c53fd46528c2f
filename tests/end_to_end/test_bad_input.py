"""Bad items and values: a clear code, nothing written, no personal number anywhere. More: test_attacks.py."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.factories.identity import Claims, ec_key, signed, signing_keys
from tests.factories.live_hub import FOLLOW, LISTEN, REPORT, LiveClient, LiveHub, a_message
from tests.factories.world import FOREIGN_BRIN, a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TABLES = (
    "status_message", "refused_message", "registration", "student", "status_event", "pending_event",
    "follow", "feed_entry",
)  # fmt: skip
# Every number that these tests send, good or bad: none may be found anywhere afterwards.
CANARIES: set[str] = set()


def canary() -> str:
    CANARIES.add(number := a_personal_number())
    return number


def wrong_canary() -> str:
    """Return a number that fails the test of eleven by its last digit."""
    number = canary()
    CANARIES.add(wrong := number[:-1] + str((int(number[-1]) + 1) % 10))
    return wrong


@pytest.fixture(scope="module", autouse=True)
def nothing_in_the_log(hub: LiveHub) -> Iterator[None]:
    """Look, when all tests are done, whether they have left a trace; the rest is in test_canaries.py."""
    yield
    log = hub.log
    assert [number for number in CANARIES if number in log] == []
    assert "Traceback" not in log
    assert "internal_error" not in log


def message(**changed: object) -> dict[str, object]:
    return a_message(**{"personalNumber": canary(), **changed})


@pytest.fixture
async def connection(hub: LiveHub) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(hub.environment["KOPPELPUNT_DATABASE_URL"])
    yield opened
    await opened.close()


async def rows(connection: asyncpg.Connection, *, without: tuple[str, ...] = ()) -> dict[str, int]:
    return {
        table: await connection.fetchval(f"select count(*) from {table}")  # noqa: S608 - our own names
        for table in TABLES
        if table not in without
    }


@pytest.fixture
async def quiet(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Demand that a test writes nothing, once what went before has its numbers."""
    async with asyncio.timeout(10):
        while True:
            if not await connection.fetchval("select count(*) from pending_event"):
                break
            await asyncio.sleep(0.02)
    before = await rows(connection)
    yield
    assert await rows(connection) == before


def judged(body: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return the codes of an answer with their fields, after a look at what else it tells."""
    text = json.dumps(body)
    assert "Traceback" not in text
    assert '"data"' not in text or body["data"] is None or not any(body["data"].values())
    return [(one["extensions"]["code"], one["extensions"].get("field")) for one in body["errors"]]


class TestItemsOfABatch:
    """What is judged item by item is refused, and its neighbours are not."""

    @pytest.mark.parametrize(
        ("changed", "code", "field"),
        [
            ({"personalNumber": "wrong"}, "PERSONAL_NUMBER_INVALID", None),
            ({"personalNumber": 999990342}, "PERSONAL_NUMBER_INVALID", None),
            ({"personalNumber": "000000000"}, "PERSONAL_NUMBER_INVALID", None),
            ({"personalNumber": {"a": 1}}, "PERSONAL_NUMBER_INVALID", None),
            ({"brin": "25lh"}, "FIELD_INVALID", "brin"),
            ({"brin": "25LH00"}, "FIELD_INVALID", "brin"),
            ({"brin": 25}, "FIELD_INVALID", "brin"),
            ({"brin": FOREIGN_BRIN}, "NO_MANDATE", None),
            ({"programmeCode": "123456789"}, "FIELD_INVALID", "programmeCode"),
            ({"programmeCode": "25-04"}, "FIELD_INVALID", "programmeCode"),
            ({"programmeCode": ""}, "FIELD_INVALID", "programmeCode"),
            ({"schoolYear": 1999}, "FIELD_INVALID", "schoolYear"),
            ({"programmeYear": 4}, "FIELD_INVALID", "programmeYear"),
            ({"applicationId": ""}, "FIELD_INVALID", "applicationId"),
            ({"applicationId": "a\x01b"}, "FIELD_INVALID", "applicationId"),
            ({"leavingSchool": "25LH"}, "FIELD_INVALID", "leavingSchool"),
            ({"occurredAt": "2099-01-01T00:00:00Z"}, "IN_THE_FUTURE", None),
        ],
    )
    async def test_are_refused_alone(self, sis: LiveClient, changed, code, field) -> None:
        if changed.get("personalNumber") == "wrong":
            changed = {"personalNumber": wrong_canary()}
        good, bad = message(), message(**changed)
        first, refused, last = sis.report(good, bad, message())
        assert [first["outcome"], refused["outcome"], last["outcome"]] == ["ACCEPTED", "REFUSED", "ACCEPTED"]
        assert (refused["code"], refused["field"], refused["registration"]) == (code, field, None)

    async def test_of_following_are_refused_alone(self, transfer_system: LiveClient) -> None:
        students = [
            {"personalNumber": wrong_canary(), "reference": "wrong"},
            {"personalNumber": canary(), "reference": "right"},
        ]
        answered = transfer_system.ask(FOLLOW, {"input": {"students": students}})["followStudents"]["results"]
        assert [(one["outcome"], one["code"]) for one in answered] == [
            ("REFUSED", "PERSONAL_NUMBER_INVALID"),
            ("FOLLOWED", None),
        ]


def failing() -> Iterator[Any]:
    """Yield what fails a whole report, with the fields that the answer names."""
    place = "variables.input.messages[0]"
    for name, changed, field in [
        ("a time without offset", {"occurredAt": "2026-09-01T12:00:00"}, f"{place}.occurredAt"),
        ("a date for a time", {"occurredAt": "2026-09-01"}, f"{place}.occurredAt"),
        ("a time that is none", {"occurredAt": "2026-13-41T12:00:00Z"}, f"{place}.occurredAt"),
        ("an unknown status", {"status": "ACCEPTED"}, f"{place}.status"),
        ("a status in small letters", {"status": "received"}, f"{place}.status"),
        ("an unknown path", {"learningPath": "XXX"}, f"{place}.learningPath"),
        ("a missing field", {"brin": ...}, f"{place}.brin"),
        ("a missing number", {"personalNumber": ...}, f"{place}.personalNumber"),
        ("a null number", {"personalNumber": None}, f"{place}.personalNumber"),
        ("an unknown field", {"naam": "x"}, f"{place}.naam"),
        ("a message id that is none", {"messageId": "1"}, f"{place}.messageId"),
        ("a year as text", {"schoolYear": "2026"}, f"{place}.schoolYear"),
        ("a year beyond 32 bits", {"schoolYear": 2**31}, f"{place}.schoolYear"),
    ]:
        yield pytest.param(changed, field, id=name)


@pytest.mark.usefixtures("quiet")
class TestRequests:
    @pytest.mark.parametrize(("changed", "field"), [*failing()])
    async def test_with_a_value_that_graphql_refuses_fail(self, sis: LiveClient, changed, field) -> None:
        answered = sis.post(REPORT, {"input": {"messages": [message(**changed), message()]}})
        assert answered.status_code == 400
        assert judged(answered.json()) == [("BAD_USER_INPUT", field)]

    @pytest.mark.parametrize("count", [0, 1001])
    async def test_with_an_empty_or_too_long_batch_fail(self, sis: LiveClient, count: int) -> None:
        one = message()
        many = [{**one, "messageId": str(uuid4())} for _ in range(count)]
        answered = sis.post(REPORT, {"input": {"messages": many}})
        assert judged(answered.json()) == [("BAD_USER_INPUT", "input.messages")]

    async def test_with_a_cursor_of_another_list_fail(self, sis: LiveClient) -> None:
        query = "{ registrations(first: 1) { nodes { statusHistory { pageInfo { endCursor } } } } }"
        nodes = sis.ask(query)["registrations"]["nodes"]
        cursor = nodes[0]["statusHistory"]["pageInfo"]["endCursor"]
        again = "query($after: String) { registrations(after: $after) { nodes { id } } }"
        assert judged(sis.post(again, {"after": cursor}).json()) == [("BAD_USER_INPUT", "after")]

    @pytest.mark.parametrize(("after", "code"), [(-1, "BAD_USER_INPUT"), (10**6, "CURSOR_AHEAD")])
    async def test_for_a_number_that_the_feed_has_not_fail(
        self, transfer_system: LiveClient, after: int, code: str
    ) -> None:
        query = "query($after: Int!) { statusChanges(after: $after) { hasNextPage } }"
        assert [found for found, _ in judged(transfer_system.post(query, {"after": after}).json())] == [code]

    @pytest.mark.parametrize(
        "token", ["none", "missing", "garbage", "expired", "foreign key", "another audience"]
    )
    def test_without_a_good_token_get_401(self, sis: LiveClient, token: str) -> None:
        answered = httpx.post(
            f"{sis.hub.url}/graphql",
            json={"query": REPORT, "variables": {"input": {"messages": [message()]}}},
            headers=_authorization(sis, token),
        )
        assert answered.status_code == 401
        assert answered.headers["www-authenticate"].startswith("Bearer")
        assert judged(answered.json()) == [("UNAUTHENTICATED", None)]


def _authorization(client: LiveClient, kind: str) -> dict[str, str]:
    if kind == "missing":
        return {}
    if kind in {"none", "garbage"}:
        return {"Authorization": "" if kind == "none" else "Bearer a.b.c"}
    keys = json.loads(Path(client.hub.environment["KOPPELPUNT_SIGNING_KEYS_FILE"]).read_bytes())["keys"]
    key = ec_key().import_key(keys[0]) if kind != "foreign key" else signing_keys().current
    good: dict[str, object] = {"iss": client.hub.url, "aud": f"{client.hub.url}/graphql"}
    now = int(time.time())
    wrong: dict[str, dict[str, object]] = {
        "expired": {"iat": now - 1000, "exp": now - 100},
        "foreign key": {},
        "another audience": {"aud": client.hub.url},
    }
    claims = Claims(client.client_id).of_token(**{**good, **wrong[kind]})
    return {
        "Authorization": f"Bearer {signed({'alg': 'ES256', 'typ': 'at+jwt', 'kid': key.kid}, claims, key)}"
    }


@pytest.mark.usefixtures("quiet")
class TestFrames:
    @pytest.mark.parametrize("token", ["garbage", "expired", "foreign key", "another audience"])
    async def test_with_a_bad_token_close_the_connection(
        self, transfer_system: LiveClient, token: str
    ) -> None:
        async with connect(
            transfer_system.hub.websocket_url, subprotocols=[Subprotocol("graphql-transport-ws")]
        ) as socket:
            payload = {"authorization": _authorization(transfer_system, token)["Authorization"]}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4403

    async def test_that_ask_for_a_number_ahead_are_told_so(self, transfer_system: LiveClient) -> None:
        async with connect(
            transfer_system.hub.websocket_url, subprotocols=[Subprotocol("graphql-transport-ws")]
        ) as socket:
            payload = {"authorization": f"Bearer {transfer_system.token}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            await socket.recv()
            asked = {"query": LISTEN, "variables": {"after": 5}}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": asked}))
            answered = json.loads(await socket.recv())
        assert answered["payload"][0]["extensions"]["code"] == "CURSOR_AHEAD"
