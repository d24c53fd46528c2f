"""The token endpoint; what it must refuse stands in test_token_matrix."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey
from starlette.applications import Starlette

from app.domain.access import SCOPES_OF_ROLE, Role
from app.domain.rates import Rate, RateKind
from app.services.clients import ClientService
from app.services.rates import Rates
from app.transport.token_endpoint import token_routes
from tests.factories.bad_tokens import moment
from tests.factories.identity import (
    ISSUER,
    OIN,
    RESOURCE,
    TOKEN_ENDPOINT,
    Claims,
    ec_key,
    form,
    jwks,
    registered,
    rsa_key,
    signed,
    signing_keys,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from joserfc.jwk import RSAKey

    from app.persistence.database import Database

_HEADER: dict[str, object] = {"alg": "ES256", "kid": "ec", "typ": "JWT"}


def _worker(clients: ClientService, spend: Callable[[str, int], None] | None = None) -> httpx.AsyncClient:
    routes = token_routes(ISSUER, signing_keys(), clients, token_seconds=300, spend=spend)
    transport = httpx.ASGITransport(app=Starlette(routes=list(routes)))
    return httpx.AsyncClient(transport=transport, base_url=ISSUER)


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with _worker(ClientService(database)) as client:
        yield client


@pytest.fixture
async def client_id(database: Database) -> str:
    keys = {"keys": [dict(key) for key in registered().keys]}
    return await ClientService(database).add_client(
        name="Vendor", role=Role.SIS, oin=OIN, brins=["25GV"], jwks=keys
    )


def _assertion(
    client_id: str,
    *,
    header: dict[str, object] | None = None,
    key: ECKey | RSAKey | None = None,
    **claims: object,
) -> str:
    return signed({**_HEADER, **(header or {})}, Claims(client_id).of_assertion(**claims), key or ec_key())


class TestTokenEndpoint:
    async def test_grants_every_scope_of_the_role(self, http: httpx.AsyncClient, client_id: str) -> None:
        response = await http.post("/oauth/token", data=form(_assertion(client_id)))

        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        body = response.json()
        assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
        assert set(body["scope"].split()) == SCOPES_OF_ROLE[Role.SIS]

    async def test_signs_a_token_of_rfc_9068(self, http: httpx.AsyncClient, client_id: str) -> None:
        response = await http.post("/oauth/token", data=form(_assertion(client_id)))

        published = (await http.get("/oauth/jwks")).json()["keys"]
        token = jws.deserialize_compact(response.json()["access_token"], ECKey.import_key(published[0]))
        claims = json.loads(token.payload or b"")
        assert token.headers() == {"alg": "ES256", "typ": "at+jwt", "kid": "current"}
        assert claims.keys() == {"iss", "aud", "sub", "azp", "client_id", "scope", "iat", "exp", "jti"}
        assert (claims["iss"], claims["aud"], claims["exp"] - claims["iat"]) == (ISSUER, RESOURCE, 300)
        assert claims["sub"] == claims["azp"] == claims["client_id"] == client_id

    @pytest.mark.parametrize(
        "alg_and_key", [("ES256", ec_key()), ("RS256", rsa_key()), ("PS256", rsa_key("ps"))]
    )
    @pytest.mark.parametrize("audience", [ISSUER, TOKEN_ENDPOINT, [ISSUER], [TOKEN_ENDPOINT]])
    async def test_takes(
        self,
        http: httpx.AsyncClient,
        client_id: str,
        alg_and_key: tuple[str, ECKey | RSAKey],
        audience: object,
    ) -> None:
        algorithm, key = alg_and_key
        header: dict[str, object] = {"alg": algorithm, "kid": key.kid}
        assertion = _assertion(
            client_id, header=header, key=key, aud=audience, nbf=moment(-5), exp=moment(295)
        )
        response = await http.post("/oauth/token", data=form(assertion, client_id=client_id))
        assert response.status_code == 200

    async def test_grants_less_on_demand(self, http: httpx.AsyncClient, client_id: str) -> None:
        response = await http.post("/oauth/token", data=form(_assertion(client_id), scope="statuses:report"))
        assert response.json()["scope"] == "statuses:report"

    async def test_takes_an_empty_scope_for_none(self, http: httpx.AsyncClient, client_id: str) -> None:
        body = form(_assertion(client_id), scope="")
        assert len((await http.post("/oauth/token", data=body)).json()["scope"].split()) == 2

    async def test_refuses_a_replay_after_an_invalid_scope(
        self, http: httpx.AsyncClient, client_id: str
    ) -> None:
        assertion = _assertion(client_id)
        refused = await http.post("/oauth/token", data=form(assertion, scope="students:follow"))
        assert refused.json()["error"] == "invalid_scope"
        assert (await http.post("/oauth/token", data=form(assertion))).status_code == 401

    async def test_has_one_winner_of_a_replay_at_the_same_moment(
        self, http: httpx.AsyncClient, database: Database, client_id: str
    ) -> None:
        body = form(_assertion(client_id))
        async with _worker(ClientService(database)) as other:
            answers = await asyncio.gather(
                *(each.post("/oauth/token", data=body) for each in [http, other] * 10)
            )
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19

    async def test_counts_a_replay_for_nobody(self, database: Database, client_id: str) -> None:
        rates = Rates(database, {RateKind.TOKENS: Rate(0.001, 3)}, monotonic=lambda: 0.0)
        caught = form(_assertion(client_id))
        async with _worker(
            ClientService(database), lambda one, amount: rates.spend(one, RateKind.TOKENS, amount)
        ) as limited:
            assert (await limited.post("/oauth/token", data=caught)).status_code == 200
            replays = await asyncio.gather(*(limited.post("/oauth/token", data=caught) for _ in range(20)))
            assert [answer.status_code for answer in replays] == [401] * 20
            own = [await limited.post("/oauth/token", data=form(_assertion(client_id))) for _ in range(3)]
        assert [answer.status_code for answer in own] == [200, 200, 429]

    async def test_does_not_use_up_the_jti_of_a_forged_assertion(
        self, http: httpx.AsyncClient, client_id: str
    ) -> None:
        forged = _assertion(client_id, key=ec_key("foreign"), jti="mine")
        assert (await http.post("/oauth/token", data=form(forged))).status_code == 401
        right = _assertion(client_id, jti="mine")
        assert (await http.post("/oauth/token", data=form(right))).status_code == 200

    async def test_lets_two_clients_use_the_same_jti(
        self, http: httpx.AsyncClient, database: Database, client_id: str
    ) -> None:
        second = await ClientService(database).add_client(
            name="Second", role=Role.SIS, oin=OIN, jwks=jwks(ec_key())
        )
        for each in (client_id, second):
            body = form(_assertion(each, jti="the same"))
            assert (await http.post("/oauth/token", data=body)).status_code == 200

    async def test_refuses_a_revoked_client(
        self, http: httpx.AsyncClient, database: Database, client_id: str
    ) -> None:
        await ClientService(database).revoke_client(client_id)
        response = await http.post("/oauth/token", data=form(_assertion(client_id)))
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")

    async def test_says_when_the_database_is_away(
        self, http: httpx.AsyncClient, database: Database, client_id: str
    ) -> None:
        await database.close()
        response = await http.post("/oauth/token", data=form(_assertion(client_id)))
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        await database.open()


class TestDiscovery:
    async def test_describes_the_server(self, http: httpx.AsyncClient) -> None:
        metadata = (await http.get("/.well-known/oauth-authorization-server")).json()
        assert metadata["issuer"] == ISSUER
        assert metadata["token_endpoint"] == TOKEN_ENDPOINT
        assert metadata["jwks_uri"] == f"{ISSUER}/oauth/jwks"
        assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
        assert metadata["token_endpoint_auth_signing_alg_values_supported"] == ["PS256", "RS256", "ES256"]
        assert metadata["grant_types_supported"] == ["client_credentials"]
        assert metadata["response_types_supported"] == []
        assert "statuses:report" in metadata["scopes_supported"]

    async def test_publishes_every_key_without_its_private_part(self, http: httpx.AsyncClient) -> None:
        keys = (await http.get("/oauth/jwks")).json()["keys"]
        assert [key["kid"] for key in keys] == ["current", "previous"]
        assert all(key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in keys)
