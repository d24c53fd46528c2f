"""The npm client graphql-ws, which vendors use, against a live hub."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.domain.access import Role
from tests.factories.live_hub import LISTEN, LiveClient, LiveHub, a_message
from tests.factories.node import NODE, Talk, installed, talking
from tests.factories.world import BRIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LISTENER = Path(__file__).with_name("listener.ts")
STATUSES = ["RECEIVED", "OFFERED", "ENROLLED", "WITHDRAWN", "REJECTED"]


@asynccontextmanager
async def listener(client: LiveClient, folder: Path) -> AsyncIterator[Talk]:
    command = [NODE, installed(LISTENER, folder), client.hub.websocket_url, LISTEN]
    async with talking(*command, environment=os.environ, folder=folder) as talk:
        yield talk


async def connect(talk: Talk, client: LiveClient, after: int = 0, retries: int = 0) -> dict[str, Any]:
    """Begin to listen and return the payload of the acknowledgement."""
    talk.say(listen=after, retries=retries)
    return await reconnect(talk, client)


async def reconnect(talk: Talk, client: LiveClient) -> dict[str, Any]:
    await talk.until(lambda line: "need" in line)
    talk.say(token=await asyncio.to_thread(client.new_token))
    return (await talk.until(lambda line: "connected" in line))["connected"]  # type: ignore[no-any-return]


async def changes(talk: Talk, count: int) -> list[dict[str, Any]]:
    return [(await talk.until(lambda line: "change" in line))["change"] for _ in range(count)]


def steps(count: int) -> list[dict[str, object]]:
    """Return messages about one registration, each with the next status."""
    first = a_message()
    return [
        {
            **first,
            "messageId": a_message()["messageId"],
            "status": STATUSES[place % len(STATUSES)],
            "occurredAt": f"2026-09-01T{place:02}:00:00Z",
        }
        for place in range(count)
    ]


class TestGraphqlWs:
    async def test_mutate_hear_disconnect_resume_and_hear_the_rest(
        self, sis: LiveClient, transfer_system: LiveClient, tmp_path: Path
    ) -> None:
        messages = steps(5)
        transfer_system.follow(messages[0]["personalNumber"], "r-1")
        async with listener(transfer_system, tmp_path) as talk:
            greeting = await connect(talk, transfer_system)
            assert greeting["feed"]["lastNumber"] == 0
            sis.report(messages[0])
            sis.report(messages[1])
            heard = await changes(talk, 2)
            talk.say(stop=True)
            await talk.until(lambda line: "ended" in line)

            sis.report(*messages[2:4])
            greeting = await connect(talk, transfer_system, after=heard[-1]["number"])
            heard += await changes(talk, 2)
            sis.report(messages[4])
            heard += await changes(talk, 1)
        assert [one["number"] for one in heard] == [1, 2, 3, 4, 5]
        assert [one["status"] for one in heard] == STATUSES
        assert {one["reference"] for one in heard} == {"r-1"}

    @pytest.mark.slow
    async def test_come_back_with_a_new_token_when_the_old_one_ends(
        self, own_hub: LiveHub, join, tmp_path: Path
    ) -> None:
        own_hub.environment["KOPPELPUNT_ACCESS_TOKEN_SECONDS"] = "10"
        await asyncio.to_thread(own_hub.start)
        sis = await join(own_hub, Role.SIS, BRIN)
        transfer_system = await join(own_hub, Role.OS)
        messages = steps(2)
        transfer_system.follow(messages[0]["personalNumber"], "r-1")
        async with listener(transfer_system, tmp_path) as talk:
            await connect(talk, transfer_system, retries=5)
            sis.report(messages[0])
            (first,) = await changes(talk, 1)
            closed = await talk.until(lambda line: "closed" in line)
            assert (closed["closed"], closed["reason"]) == (4403, "token expired")
            sis.report(messages[1])
            await reconnect(talk, transfer_system)
            # Its own retry asks from the same number again: what comes twice is the same.
            assert await changes(talk, 1) == [first]
            (second,) = await changes(talk, 1)
        assert (second["number"], second["status"]) == (2, "OFFERED")

    async def test_give_up_when_a_number_is_ahead(self, transfer_system: LiveClient, tmp_path: Path) -> None:
        async with listener(transfer_system, tmp_path) as talk:
            await connect(talk, transfer_system, after=99, retries=3)
            ended = await talk.until(lambda line: "ended" in line)
        assert ended["errors"][0]["extensions"]["code"] == "CURSOR_AHEAD"
