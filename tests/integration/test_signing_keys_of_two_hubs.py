"""A new signing key is taken over by hubs that run: token endpoint, published keys, authenticator."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette

from app.bootstrap import clock
from app.domain.access import Role
from app.domain.errors import UnauthenticatedError
from app.services import key_files, keys
from app.services.clients import ClientService
from app.services.key_files import KeyFile
from app.services.keys import load_signing_keys, rotate_signing_keys
from app.services.security_log import SecurityLog
from app.transport.authentication import Authenticator
from app.transport.strict_jwt import read_jwt
from app.transport.token_endpoint import token_routes
from tests.factories.identity import ASSERTION_TYPE, ISSUER, OIN, TOKEN_ENDPOINT, ec_key, jwks, signed

if TYPE_CHECKING:
    from pathlib import Path

    from app.persistence.database import Database


class Running:
    """The parts of a hub that know the signing keys."""

    def __init__(self, path: Path, database: Database) -> None:
        source = KeyFile(path, load_signing_keys)
        clients = ClientService(database)
        log = SecurityLog(database, clock)
        routes = token_routes(ISSUER, source, clients, token_seconds=300, security_log=log)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=routes)), base_url=ISSUER
        )
        self.authenticator = Authenticator(ISSUER, source, clients)

    async def token(self, client_id: str) -> str:
        now = int(time.time())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": TOKEN_ENDPOINT,
            "iat": now,
            "exp": now + 60,
            "jti": f"{time.perf_counter_ns()}",
        }
        assertion = signed({"alg": "ES256", "kid": "ec", "typ": "JWT"}, claims, ec_key())
        answer = await self.client.post(
            "/oauth/token",
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            },
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def published(self) -> set[str]:
        return {key["kid"] for key in (await self.client.get("/oauth/jwks")).json()["keys"]}


async def test_two_hubs_take_over_a_new_key_and_let_the_old_one_go(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "signing-keys.json"
    old = str(load_signing_keys(path, create=True).current.kid)
    one, other = Running(path, database), Running(path, database)
    client_id = await ClientService(database).add_client(
        name="V", role=Role.SIS, oin=OIN, brins=("25LH",), jwks=jwks(ec_key())
    )
    before = await one.token(client_id)
    await other.authenticator.authenticate(f"Bearer {before}")

    # Only one of them looks at its file at once; the other meets a `kid` that it does not know.
    _, new, _ = rotate_signing_keys(path, time.time() - 1000, 300)
    monkeypatch.setattr(key_files, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(key_files, "_URGENT_SECONDS", 0.0)
    assert await one.published() == {old, new}
    monkeypatch.setattr(key_files, "LOOK_SECONDS", 3600.0)
    after = await one.token(client_id)
    assert read_jwt(before, longest=8192).key_id == old
    assert read_jwt(after, longest=8192).key_id == new
    assert (await other.authenticator.authenticate(f"Bearer {after}")).client_id == client_id
    assert (await other.authenticator.authenticate(f"Bearer {before}")).client_id == client_id

    # Once no token of it can live any more, the old key is neither published nor taken nor kept.
    monkeypatch.setattr(key_files, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(keys, "OVERLAP_SECONDS", 0)
    assert await one.published() == {new}
    _, third, removed = rotate_signing_keys(path, time.time(), 300)
    assert removed == [old]
    assert await other.published() == {new, third}
    for hub in (one, other):
        with pytest.raises(UnauthenticatedError):
            await hub.authenticator.authenticate(f"Bearer {before}")
        await hub.authenticator.authenticate(f"Bearer {after}")
    assert read_jwt(await other.token(client_id), longest=8192).key_id == new
    async with database.connection() as connection:
        rows = await connection.fetch("select event, actor, on_behalf_of from security_record order by id")
    assert [(row["event"], row["actor"], row["on_behalf_of"]) for row in rows] == [
        ("CLIENT_ADDED", "operator", OIN),
        *[("TOKEN_ISSUED", client_id, OIN)] * 3,
    ]
