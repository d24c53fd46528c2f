"""Cost and trusted documents, as clients of a live hub meet them."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from typer.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.cli import cli
from app.domain.access import Role
from app.services.trusted_documents import TrustedDocumentService
from tests.end_to_end.conftest import with_database
from tests.factories.live_hub import LISTEN, LiveClient, LiveHub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

VIEWER = "{viewer{clientId}}"
FULL = "{registrations(first: 200){nodes{statusHistory(first: 200){nodes{status kind}}}}}"


def post(client: LiveClient, **members: object) -> httpx.Response:
    headers = {**client.headers, "Accept": "application/graphql-response+json"}
    return httpx.post(f"{client.hub.url}/graphql", json=members, headers=headers, timeout=30)


def code(response: httpx.Response) -> str:
    return str(response.json()["errors"][0]["extensions"]["code"])


async def subscribed(client: LiveClient, **payload: object) -> dict[str, Any]:
    """Return the first answer to a subscription that says why it is refused."""
    async with connect(
        client.hub.websocket_url, subprotocols=[Subprotocol("graphql-transport-ws")]
    ) as socket:
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {client.token}"}}
        await socket.send(json.dumps(init))
        await socket.recv()
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        async with asyncio.timeout(10):
            while True:
                message: dict[str, Any] = json.loads(await socket.recv())
                if message["type"] != "ping":
                    return message


class TestCost:
    def test_is_told_with_each_answer(self, transfer_system: LiveClient) -> None:
        answered = post(transfer_system, query="query($n: Int!){registrations(first: $n){nodes{id}}}",
                        variables={"n": 7}).json()  # fmt: skip
        assert answered["extensions"] == {"cost": {"requested": 9, "maximum": 60_000}}

    def test_is_refused_above_the_maximum(self, transfer_system: LiveClient) -> None:
        refused = post(transfer_system, query=FULL)
        assert (refused.status_code, code(refused)) == (400, "LIMIT_EXCEEDED")
        assert post(transfer_system, query=VIEWER).status_code == 200


class TestTrustedDocuments:
    @pytest.fixture
    async def marked(self, hub: LiveHub, join: Callable[..., Awaitable[LiveClient]]) -> LiveClient:
        """Register a client that may run two documents and nothing else."""
        client = await join(hub, Role.OS)

        async def register(database: Any) -> None:
            service = TrustedDocumentService(database)
            await service.add(client.client_id, [VIEWER, LISTEN])
            await service.set_trusted_only(client.client_id, trusted_only=True)

        await with_database(hub, register)
        return client

    async def test_run_by_their_ids_and_nothing_else_does(self, marked: LiveClient) -> None:
        known = sha256(VIEWER.encode()).hexdigest()
        for members in ({"documentId": known}, {"documentId": f"sha256:{known}"}, {"query": VIEWER}):
            assert post(marked, **members).json()["data"] == {"viewer": {"clientId": marked.client_id}}
        refused = post(marked, query="{viewer{role}}")
        assert (refused.status_code, code(refused)) == (400, "OPERATION_NOT_ALLOWED")

    @pytest.mark.parametrize(
        "members",
        [
            {"documentId": "0" * 64},
            {"documentId": "x" * 5000},
            {"documentId": 5},
            {"documentId": ""},
            {"query": VIEWER, "documentId": sha256(VIEWER.encode()).hexdigest()},
        ],
    )
    async def test_are_refused_under_ids_that_are_none(
        self, marked: LiveClient, members: dict[str, object]
    ) -> None:
        refused = post(marked, **members)
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "field": "documentId"}

    async def test_are_subscribed_to_by_their_ids(self, marked: LiveClient) -> None:
        refused = await subscribed(marked, query="subscription{statusChanged{number}}")
        assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == (
            "error",
            "OPERATION_NOT_ALLOWED",
        )
        told = await subscribed(
            marked, documentId=sha256(LISTEN.encode()).hexdigest(), variables={"after": 99}
        )
        assert told["payload"][0]["extensions"]["code"] == "CURSOR_AHEAD"

    async def test_are_kept_by_commands(self, marked: LiveClient, tmp_path: Path) -> None:
        def typed(*arguments: object) -> Any:
            environment = dict(marked.hub.environment)
            return CliRunner().invoke(cli, [*map(str, arguments)], env=environment, catch_exceptions=False)

        good, bad = tmp_path / "good.graphql", tmp_path / "bad.graphql"
        good.write_text("{feed{lastNumber}}\n", encoding="utf-8")
        bad.write_text("{nothing}", encoding="utf-8")
        of_client = ("--client", marked.client_id)

        def ran(*arguments: object) -> Any:
            ended = typed(*arguments)
            assert (ended.exit_code, ended.stderr) == (0, "")
            return ended.stdout

        added = json.loads(await asyncio.to_thread(ran, "documents", "add", *of_client, good))
        assert added["document_id"] == sha256(good.read_bytes()).hexdigest()
        listed = await asyncio.to_thread(ran, "documents", "list", *of_client)
        assert len(listed.splitlines()) == 3
        await asyncio.to_thread(ran, "documents", "remove", *of_client, added["document_id"])
        again = await asyncio.to_thread(typed, "documents", "remove", *of_client, added["document_id"])
        assert again.exit_code == 1
        refused = await asyncio.to_thread(typed, "documents", "add", *of_client, good, bad)
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (1, 1)
        listed = await asyncio.to_thread(ran, "documents", "list", *of_client)
        assert len(listed.splitlines()) == 2
        await asyncio.to_thread(ran, "client", "trusted-only", marked.client_id, "--off")
