"""The whole application behind real sockets, in this process: as `koppelpunt serve` runs it, and quicker."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.bootstrap import vetting_rule
from app.cli.serving import server_options
from app.domain.access import Role
from app.main import create_app
from app.persistence.database import Database
from app.services.clients import ClientService
from app.services.vetting import VettingService
from app.settings import Settings, load_settings
from tests.factories.identity import ISSUER, Claims, ec_key, form, jwks, signed
from tests.factories.world import an_oin
from tests.scratch_graphql import Server

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

HEADER: dict[str, object] = {"alg": "ES256", "kid": "ec", "typ": "JWT"}
VIEWER = {"query": "{viewer{clientId}}"}


@dataclass(frozen=True)
class Registered:
    """A client of a served hub."""

    client_id: str
    oin: str

    def assertion(self, **claims: object) -> str:
        return signed(HEADER, Claims(self.client_id).of_assertion(**claims), ec_key())


@dataclass(frozen=True)
class Door:
    """A way to a hub: straight, or through a proxy; with a certificate, or without."""

    http: httpx.AsyncClient
    address: str
    tls: ssl.SSLContext | None

    async def ask_token(self, client: Registered, **claims: object) -> httpx.Response:
        return await self.http.post("/oauth/token", data=form(client.assertion(**claims)))

    async def token(self, client: Registered) -> str:
        answered = await self.ask_token(client)
        assert answered.status_code == 200, answered.text
        return str(answered.json()["access_token"])

    async def view(self, authorization: str | None, **headers: str) -> httpx.Response:
        """Ask who one is."""
        sent = dict(headers) if authorization is None else {"Authorization": authorization, **headers}
        return await self.http.post("/graphql", json=VIEWER, headers=sent)

    async def greet(
        self, authorization: object, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str] | None:
        """Open a websocket; return the code and the reason of its end, or None when one is let in."""
        async with connect(
            f"{self.address.replace('http', 'ws', 1)}/graphql",
            subprotocols=[Subprotocol("graphql-transport-ws")],
            ssl=self.tls,
            additional_headers=headers,
        ) as socket:
            payload = {} if authorization is None else {"authorization": authorization}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            return await _greeted(socket)


async def _greeted(socket: ClientConnection) -> tuple[int, str] | None:
    with suppress(ConnectionClosed):
        async with asyncio.timeout(20):
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            return None
    return socket.close_code or 0, socket.close_reason or ""


@dataclass(frozen=True)
class ServedHub:
    """A hub that listens, and what a test does to it from behind."""

    settings: Settings
    port: int
    database: Database

    @property
    def clients(self) -> ClientService:
        return ClientService(self.database)

    @property
    def vetting(self) -> VettingService:
        return VettingService(self.database, vetting_rule(self.settings))

    async def client(
        self, role: Role = Role.OS, oin: str | None = None, keys: object | None = None
    ) -> Registered:
        oin = oin or an_oin()
        added = await self.clients.add_client(
            name="a client", role=role, oin=oin, jwks=keys or jwks(ec_key())
        )
        return Registered(added, oin)

    async def count(self, table: str) -> int:
        async with self.database.connection() as connection:
            return int(await connection.fetchval(f"select count(*) from {table}"))  # noqa: S608 - a test's own word

    @asynccontextmanager
    async def door(self, tls: ssl.SSLContext | None = None, port: int | None = None) -> AsyncIterator[Door]:
        address = f"{'http' if tls is None else 'https'}://127.0.0.1:{port or self.port}"
        async with httpx.AsyncClient(
            base_url=address, verify=tls or True, timeout=30, trust_env=False
        ) as http:
            yield Door(http, address, tls)


@asynccontextmanager
async def served(
    template: str, beside: ServedHub | None = None, /, **changed: Any
) -> AsyncIterator[ServedHub]:
    """Serve a hub on a free port, and on a database of its own or on that of another hub.

    The database stays behind; it goes with its server.
    """
    url = await _clone(template) if beside is None else beside.settings.database_url
    usual = {"broadcast_url": "memory://", "issuer": ISSUER, "port": 0, "database_pool": 4}
    settings = load_settings(database_url=url, **{**usual, **changed})
    app = create_app(settings)
    options = {**server_options(settings), "loop": "none", "timeout_graceful_shutdown": 2}
    server = Server(uvicorn.Config(app, **options))
    serving = asyncio.create_task(server.serve())
    database = Database(str(url), pool_size=2)
    try:
        async with asyncio.timeout(60):
            await server.ready.wait()
        await database.open()
        yield ServedHub(settings, server.servers[0].sockets[0].getsockname()[1], database)
    finally:
        server.should_exit = True
        await serving
        await database.close()


async def _clone(template: str) -> str:
    name = f"served_{secrets.token_hex(6)}"
    administrator = await asyncpg.connect(template)
    try:
        await administrator.execute(f"create database {name} template hub_template strategy file_copy")
    finally:
        await administrator.close()
    return template.replace("/koppelpunt?", f"/{name}?")
