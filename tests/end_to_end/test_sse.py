"""The feed by server-sent events, for those behind proxies that break websockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.factories.live_hub import LISTEN, LiveClient, a_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Event = dict[str, str]


@asynccontextmanager
async def stream(
    client: LiveClient, after: int | None, **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    """Open a stream of events; yields their fields."""
    async with (
        httpx.AsyncClient(timeout=15) as http,
        http.stream(
            "POST",
            f"{client.hub.url}/graphql",
            json={"query": LISTEN, "variables": {"after": after}},
            headers={**client.headers, "Accept": "text/event-stream", **headers},
        ) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response)


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    event: Event = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            event[name] = value.removeprefix(" ")
        elif event:
            yield event
            event = {}


async def hear(client: LiveClient, count: int, after: int | None, **headers: str) -> list[Event]:
    heard = []
    async with asyncio.timeout(15), stream(client, after, **headers) as coming:
        async for event in coming:
            heard.append(event)
            if len(heard) == count:
                break
    return heard


def change(event: Event) -> dict[str, Any]:
    assert event["event"] == "next"
    found: dict[str, Any] = json.loads(event["data"])["data"]["statusChanged"]
    assert event["id"] == str(found["number"])
    return found


async def prepare(sis: LiveClient, transfer_system: LiveClient, count: int) -> None:
    """Have so many changes in the feed, or on their way into it."""
    messages = [a_message() for _ in range(count)]
    for place, message in enumerate(messages):
        transfer_system.follow(message["personalNumber"], f"r-{place}")
    sis.report(*messages)


class TestServerSentEvents:
    async def test_resume_after_the_last_event_id(self, sis: LiveClient, transfer_system: LiveClient) -> None:
        await prepare(sis, transfer_system, 5)
        first = [change(event) for event in await hear(transfer_system, 2, 0)]
        assert [one["number"] for one in first] == [1, 2]
        # A browser sends the very same request again, with the id of the last event beside it.
        rest = [change(event) for event in await hear(transfer_system, 3, 0, **{"Last-Event-ID": "2"})]
        assert [one["number"] for one in rest] == [3, 4, 5]
        assert {one["reference"] for one in first + rest} == {f"r-{place}" for place in range(5)}

    async def test_go_on_live_where_the_stored_ones_end(
        self, sis: LiveClient, transfer_system: LiveClient
    ) -> None:
        await prepare(sis, transfer_system, 2)
        async with asyncio.timeout(15), stream(transfer_system, 0) as coming:
            numbers = []
            async for event in coming:
                numbers.append(change(event)["number"])
                if numbers == [1, 2]:
                    await asyncio.to_thread(self._one_more, sis, transfer_system)
                if len(numbers) == 3:
                    break
        assert numbers == [1, 2, 3]

    @staticmethod
    def _one_more(sis: LiveClient, transfer_system: LiveClient) -> None:
        message = a_message()
        transfer_system.follow(message["personalNumber"], "one-more")
        sis.report(message)

    @pytest.mark.parametrize("after", [7, 10**9])
    async def test_tell_of_a_number_that_is_ahead_and_end(
        self, transfer_system: LiveClient, after: int
    ) -> None:
        told, ended = await hear(transfer_system, 2, after)
        assert json.loads(told["data"])["errors"][0]["extensions"]["code"] == "CURSOR_AHEAD"
        assert ended["event"] == "complete"

    @pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 30])
    def test_refuse_a_last_event_id_that_is_no_number(self, transfer_system: LiveClient, last: str) -> None:
        answered = httpx.post(
            f"{transfer_system.hub.url}/graphql",
            json={"query": LISTEN},
            headers={**transfer_system.headers, "Accept": "text/event-stream", "Last-Event-ID": last},
        )
        assert answered.status_code == 400
        assert answered.json()["errors"][0]["extensions"] == {
            "code": "BAD_USER_INPUT",
            "field": "Last-Event-ID",
        }
