"""The token endpoint, and everything that it must refuse."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey
from starlette.applications import Starlette

from app.domain.access import SCOPES_OF_ROLE, Role
from app.services.clients import ClientService
from app.transport.token_endpoint import token_routes
from tests.factories.identity import (
    ISSUER,
    OIN,
    RESOURCE,
    TOKEN_ENDPOINT,
    Claims,
    ClientsInMemory,
    ec_key,
    encoded,
    form,
    jwks,
    registered,
    respelled,
    rsa_key,
    signed,
    signing_keys,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from joserfc.jwk import RSAKey

    from app.persistence.database import Database

_TEN_YEARS = 10 * 365 * 24 * 3600
_HEADER: dict[str, object] = {"alg": "ES256", "kid": "ec", "typ": "JWT"}


def _worker(clients: ClientService) -> httpx.AsyncClient:
    routes = token_routes(ISSUER, signing_keys(), clients, token_seconds=300)
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


def _now(seconds: int) -> int:
    return int(time.time()) + seconds


def _hs256_with_the_public_key(client_id: str) -> str:
    unsigned = f"{encoded({**_HEADER, 'alg': 'HS256'})}.{encoded(Claims(client_id).of_assertion())}"
    signature = hmac.digest(ec_key().as_pem(private=False), unsigned.encode(), "sha256")
    return f"{unsigned}.{encoded(signature)}"


def _unsigned(client_id: str, alg: str) -> str:
    return f"{encoded({**_HEADER, 'alg': alg})}.{encoded(Claims(client_id).of_assertion())}."


def _with_duplicate(client_id: str) -> str:
    claims = json.dumps(Claims(client_id).of_assertion(sub=None))
    return signed(_HEADER, f'{claims[:-1]}, "sub": "somebody", "sub": "{client_id}"}}'.encode(), ec_key())


def _with_duplicate_header(client_id: str) -> str:
    header = encoded(b'{"alg": "none", "alg": "ES256", "kid": "ec"}')
    unsigned = f"{header}.{encoded(Claims(client_id).of_assertion())}"
    signature = jws.JWSRegistry.algorithms["ES256"].sign(unsigned.encode(), ec_key())
    return f"{unsigned}.{encoded(signature)}"


def _with_raw_claim(client_id: str, raw: str) -> str:
    claims = json.dumps(Claims(client_id).of_assertion(exp=None))
    return signed(_HEADER, f'{claims[:-1]}, "exp": {raw}}}'.encode(), ec_key())


@dataclass(frozen=True)
class Refused:
    """One way to be wrong: how the assertion is made, or how the form around it is."""

    assertion: Callable[[str], str] = _assertion
    error: str = "invalid_client"
    status: int = 401
    form: dict[str, str | None] | None = None


def _form(error: str, status: int = 400, **changes: str | None) -> Refused:
    return Refused(error=error, status=status, form=changes)


REFUSED: dict[str, Refused] = {
    # the signature and its key
    "foreign key": Refused(lambda c: _assertion(c, key=ec_key("foreign"))),
    "foreign key of another kind": Refused(lambda c: _assertion(c, header={"alg": "RS256"}, key=rsa_key())),
    "alg none": Refused(lambda c: _unsigned(c, "none")),
    "alg None": Refused(lambda c: _unsigned(c, "None")),
    "signature left out": Refused(lambda c: _unsigned(c, "ES256")),
    "HS256 with the public key": Refused(_hs256_with_the_public_key),
    "alg that is not allowed": Refused(
        lambda c: _assertion(c, header={"alg": "RS384", "kid": "rsa"}, key=rsa_key())
    ),
    "alg that the key is not registered for": Refused(
        lambda c: _assertion(c, header={"alg": "RS256", "kid": "ps"}, key=rsa_key("ps"))
    ),
    "alg that does not fit the key": Refused(lambda c: _assertion(c, header={"kid": "rsa"})),
    "alg is a list": Refused(lambda c: _assertion(c, header={"alg": ["ES256"]})),
    "kid unknown": Refused(lambda c: _assertion(c, header={"kid": "other"})),
    "kid missing": Refused(lambda c: signed({"alg": "ES256"}, Claims(c).of_assertion(), ec_key())),
    "kid is a number": Refused(lambda c: _assertion(c, header={"kid": 1})),
    "jwk in the header": Refused(lambda c: _assertion(c, header={"jwk": ec_key().as_dict(private=False)})),
    "jku in the header": Refused(lambda c: _assertion(c, header={"jku": "https://evil.example/jwks"})),
    "x5c in the header": Refused(lambda c: _assertion(c, header={"x5c": ["MIIB"]})),
    "x5u in the header": Refused(lambda c: _assertion(c, header={"x5u": "https://evil.example/x5u"})),
    "crit in the header": Refused(lambda c: _assertion(c, header={"crit": ["exp"], "exp": 1})),
    "b64 in the header": Refused(lambda c: _assertion(c, header={"b64": False, "crit": ["b64"]})),
    "typ of an access token": Refused(lambda c: _assertion(c, header={"typ": "at+jwt"})),
    "typ is a list": Refused(lambda c: _assertion(c, header={"typ": ["JWT"]})),
    "signed by the hub itself": Refused(
        lambda c: _assertion(c, header={"kid": "current"}, key=signing_keys().current)
    ),
    # the claims
    "sub missing": Refused(lambda c: _assertion(c, sub=None)),
    "sub of another": Refused(lambda c: _assertion(c, sub="hub-other")),
    "sub is a list": Refused(lambda c: _assertion(c, sub=[c])),
    "sub with a zero byte": Refused(lambda c: _assertion(c, sub=f"{c}\x00")),
    "sub with half a surrogate": Refused(lambda c: _assertion(c, sub="\ud800")),
    "iss missing": Refused(lambda c: _assertion(c, iss=None)),
    "iss of another": Refused(lambda c: _assertion(c, iss="hub-other")),
    "aud missing": Refused(lambda c: _assertion(c, aud=None)),
    "aud of another": Refused(lambda c: _assertion(c, aud="https://other.example")),
    "aud is the resource": Refused(lambda c: _assertion(c, aud=RESOURCE)),
    "aud begins like ours": Refused(lambda c: _assertion(c, aud=f"{ISSUER}.evil.example")),
    "two auds": Refused(lambda c: _assertion(c, aud=[TOKEN_ENDPOINT, "https://other.example"])),
    "both of our auds": Refused(lambda c: _assertion(c, aud=[ISSUER, TOKEN_ENDPOINT])),
    "no aud in the list": Refused(lambda c: _assertion(c, aud=[])),
    "aud in a list in a list": Refused(lambda c: _assertion(c, aud=[[ISSUER]])),
    "exp missing": Refused(lambda c: _assertion(c, exp=None)),
    "exp passed": Refused(lambda c: _assertion(c, iat=_now(-60), exp=_now(-1))),
    "exp six minutes ahead": Refused(lambda c: _assertion(c, exp=_now(360))),
    "exp in ten years": Refused(lambda c: _assertion(c, exp=_now(_TEN_YEARS))),
    "exp is a text": Refused(lambda c: _assertion(c, exp=str(_now(60)))),
    "exp is true": Refused(lambda c: _assertion(c, exp=True)),
    "exp is a list": Refused(lambda c: _assertion(c, exp=[_now(60)])),
    "exp is not a number": Refused(lambda c: _with_raw_claim(c, "NaN")),
    "exp is endless": Refused(lambda c: _with_raw_claim(c, "1e999")),
    "exp has 5,000 digits": Refused(lambda c: _with_raw_claim(c, "9" * 5000)),
    "iat missing": Refused(lambda c: _assertion(c, iat=None)),
    "iat in the future": Refused(lambda c: _assertion(c, iat=_now(45))),
    "iat ten years ago": Refused(lambda c: _assertion(c, iat=_now(-_TEN_YEARS))),
    "nbf in the future": Refused(lambda c: _assertion(c, nbf=_now(45))),
    "nbf is a text": Refused(lambda c: _assertion(c, nbf="now")),
    "jti missing": Refused(lambda c: _assertion(c, jti=None)),
    "jti empty": Refused(lambda c: _assertion(c, jti="")),
    "jti of 201 characters": Refused(lambda c: _assertion(c, jti="j" * 201)),
    "jti is a list": Refused(lambda c: _assertion(c, jti=["j"])),
    "jti with a zero byte": Refused(lambda c: _assertion(c, jti="j\x00")),
    # the form of the token
    "duplicate keys": Refused(_with_duplicate),
    "duplicate keys in the header": Refused(_with_duplicate_header),
    "claims are a list": Refused(lambda _: signed(_HEADER, [], ec_key())),
    "claims are not JSON": Refused(lambda _: signed(_HEADER, b"{", ec_key())),
    "claims are not UTF-8": Refused(lambda _: signed(_HEADER, b'{"sub": "\xff"}', ec_key())),
    "claims of great depth": Refused(lambda _: signed(_HEADER, b"[" * 9000, ec_key())),
    "the same in other letters": Refused(lambda c: respelled(_assertion(c))),
    "padding": Refused(lambda c: f"{_assertion(c)}="),
    "a space": Refused(lambda c: f" {_assertion(c)}"),
    "four parts": Refused(lambda c: f"{_assertion(c)}.e30"),
    "no token": Refused(lambda _: "x"),
    "too long": Refused(lambda c: _assertion(c, more="x" * 20_000)),
    # the request around it
    "no assertion": _form("invalid_client", 401, client_assertion=None),
    "no assertion type": _form("invalid_client", 401, client_assertion_type=None),
    "other assertion type": _form(
        "invalid_client",
        401,
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
    ),
    "other client_id": _form("invalid_client", 401, client_id="hub-other"),
    "client secret": _form("invalid_request", client_secret="s"),
    "no grant type": _form("invalid_request", grant_type=None),
    "grant type password": _form("unsupported_grant_type", grant_type="password"),
    "grant type refresh_token": _form("unsupported_grant_type", grant_type="refresh_token"),
    "scope of another role": _form("invalid_scope", scope="students:follow"),
    "one scope too many": _form("invalid_scope", scope="statuses:report students:follow"),
    "unknown scope": _form("invalid_scope", scope="all"),
    "scope with a bad separator": _form("invalid_scope", scope="statuses:report,registrations:read"),
}


class TestRefusals:
    @pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
    async def test_hand_out_nothing(self, case: Refused) -> None:
        clients = ClientsInMemory(registered())
        async with _worker(clients) as http:
            body = form(case.assertion("hub-known"), **(case.form or {}))
            response = await http.post("/oauth/token", data=body)

        assert (response.status_code, response.json()["error"]) == (case.status, case.error)
        assert response.headers["cache-control"] == "no-store"
        assert "access_token" not in response.text
        for sent in ("evil", "other", "password", "hub-known"):
            assert sent not in response.text
        # Only who is authenticated uses up an identifier.
        assert len(clients.used) == (case.error == "invalid_scope")


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
        assertion = _assertion(client_id, header=header, key=key, aud=audience, nbf=_now(-5), exp=_now(295))
        response = await http.post("/oauth/token", data=form(assertion, client_id=client_id))
        assert response.status_code == 200

    async def test_grants_less_on_demand(self, http: httpx.AsyncClient, client_id: str) -> None:
        response = await http.post("/oauth/token", data=form(_assertion(client_id), scope="statuses:report"))
        assert response.json()["scope"] == "statuses:report"

    async def test_takes_an_empty_scope_for_none(self, http: httpx.AsyncClient, client_id: str) -> None:
        body = form(_assertion(client_id), scope="")
        assert len((await http.post("/oauth/token", data=body)).json()["scope"].split()) == 2

    async def test_refuses_a_replay(self, http: httpx.AsyncClient, client_id: str) -> None:
        body = form(_assertion(client_id))
        answers = [await http.post("/oauth/token", data=body) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 401]
        assert answers[1].json()["error"] == "invalid_client"

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

    async def test_tells_an_unknown_client_nothing_else(
        self, http: httpx.AsyncClient, client_id: str
    ) -> None:
        unknown = await http.post("/oauth/token", data=form(_assertion("hub-nobody")))
        forged = await http.post("/oauth/token", data=form(_assertion(client_id, key=ec_key("foreign"))))
        assert (unknown.status_code, unknown.json()) == (forged.status_code, forged.json())

    @pytest.mark.parametrize(
        ("content", "headers", "status"),
        [
            ("grant_type=client_credentials&grant_type=client_credentials", {}, 400),
            ("grant_type=client_credentials&scope=a&scope=b", {}, 400),
            ("grant_type=%ff", {}, 400),
            ("grant_type=client_credentials&" + "&".join(f"p{n}=1" for n in range(30)), {}, 400),
            ("é", {}, 400),
            ("", {}, 400),
            ("grant_type=client_credentials", {"content-type": "application/json"}, 400),
            ("grant_type=client_credentials", {"content-type": "text/plain"}, 400),
            ("grant_type=client_credentials", {"content-type": "multipart/form-data; boundary=x"}, 400),
            ("grant_type=client_credentials", {"content-encoding": "gzip"}, 400),
            ("grant_type=client_credentials", {"authorization": "Basic aHViOnM="}, 400),
            ("grant_type=" + "x" * 70_000, {}, 413),
        ],
        ids=range(12),
    )
    async def test_refuses_a_malformed_request(
        self, http: httpx.AsyncClient, content: str, headers: dict[str, str], status: int
    ) -> None:
        sent = {"content-type": "application/x-www-form-urlencoded", **headers}
        response = await http.post("/oauth/token", content=content.encode(), headers=sent)
        assert (response.status_code, response.json()["error"]) == (status, "invalid_request")

    async def test_refuses_parameters_in_the_address(self, http: httpx.AsyncClient, client_id: str) -> None:
        body = form(_assertion(client_id))
        response = await http.post(f"/oauth/token?{urlencode(body)}", data=body)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")

    async def test_has_no_get(self, http: httpx.AsyncClient) -> None:
        assert (await http.get("/oauth/token")).status_code == 405

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
