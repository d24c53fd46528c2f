"""The Python client gql, as vendors use it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed, TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from tests.factories.live_hub import LISTEN, REPORT, LiveClient, LiveHub, a_message
from tests.factories.world import a_personal_number

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUSES = ["RECEIVED", "OFFERED", "ENROLLED", "WITHDRAWN"]


def over_websocket(client: LiveClient, token: str | None = None) -> WebsocketsTransport:
    return WebsocketsTransport(
        url=client.hub.websocket_url,
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        init_payload={"authorization": f"Bearer {client.token if token is None else token}"},
    )


async def hear(client: LiveClient, count: int, after: int) -> list[dict[str, Any]]:
    """Subscribe, return so many changes after a number, and disconnect."""
    heard = []
    async with asyncio.timeout(15), Client(transport=over_websocket(client)) as session:
        async for answer in session.subscribe(GraphQLRequest(LISTEN, variable_values={"after": after})):
            heard.append(answer["statusChanged"])
            if len(heard) == count:
                break
    return heard


async def report(client: LiveClient, *messages: Mapping[str, object]) -> list[dict[str, Any]]:
    transport = HTTPXAsyncTransport(url=f"{client.hub.url}/graphql", headers=client.headers)
    async with Client(transport=transport) as session:
        values = {"input": {"messages": messages}}
        answer = await session.execute(GraphQLRequest(REPORT, variable_values=values))
    results: list[dict[str, Any]] = answer["reportStatuses"]["results"]
    return results


class TestGql:
    async def test_reports_hears_disconnects_resumes_and_hears_the_rest(
        self, sis: LiveClient, transfer_system: LiveClient
    ) -> None:
        message = a_message(occurredAt="2026-09-01T10:00:00+02:00")
        position = transfer_system.follow(message["personalNumber"], "r-1")["feed"]["lastNumber"]
        assert position == 0

        hearing = asyncio.create_task(hear(transfer_system, 1, position))
        (result,) = await report(sis, message)
        assert result["outcome"] == "ACCEPTED"
        (first,) = await hearing
        assert (first["number"], first["status"], first["reference"]) == (1, "RECEIVED", "r-1")

        for hour, status in enumerate(STATUSES[1:], start=11):
            later = {
                **message,
                "messageId": a_message()["messageId"],
                "status": status,
                "occurredAt": f"2026-09-01T{hour}:00:00+02:00",
            }
            await report(sis, later)
        rest = await hear(transfer_system, 3, first["number"])
        assert [change["number"] for change in rest] == [2, 3, 4]
        assert [change["status"] for change in rest] == STATUSES[1:]

        again = await hear(transfer_system, 4, 0)
        assert [(one["number"], one["status"]) for one in again] == list(enumerate(STATUSES, start=1))

    async def test_hears_nothing_of_a_student_that_it_does_not_follow(
        self, sis: LiveClient, transfer_system: LiveClient
    ) -> None:
        followed = a_personal_number()
        transfer_system.follow(followed, "mine")
        await report(sis, a_message(), a_message(personalNumber=followed), a_message())
        (heard,) = await hear(transfer_system, 1, 0)
        assert heard["reference"] == "mine"
        await asyncio.to_thread(_settle, sis, transfer_system)
        assert len(transfer_system.changes()) == 2

    async def test_is_told_when_its_number_is_ahead(self, transfer_system: LiveClient) -> None:
        with pytest.raises(TransportQueryError) as told:
            await hear(transfer_system, 1, 1000)
        assert (told.value.errors or [{}])[0]["extensions"]["code"] == "CURSOR_AHEAD"

    async def test_is_shown_out_with_a_wrong_token(self, hub: LiveHub, transfer_system: LiveClient) -> None:
        with pytest.raises(TransportConnectionFailed) as told:
            async with Client(transport=over_websocket(transfer_system, "wrong")):
                pass
        reasons: list[BaseException | None] = [told.value]
        while reasons[-1] is not None:
            reasons.append(reasons[-1].__cause__ or reasons[-1].__context__)
        assert any("4403" in str(reason) for reason in reasons)


def _settle(sis: LiveClient, transfer_system: LiveClient) -> None:
    """Report one more for the receiver and wait for it: what was reported before has its numbers then."""
    number = a_personal_number()
    transfer_system.follow(number, "last")
    sis.report(a_message(personalNumber=number))
    while not any(change["applicationId"] for change in transfer_system.changes(1)):
        continue
