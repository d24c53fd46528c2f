"""From an access token to the caller, and everything that must not become one."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette

from app.domain.access import Role, Scope
from app.domain.errors import UnauthenticatedError, UnavailableError
from app.services.clients import ClientService
from app.transport import authentication
from app.transport.authentication import Authenticator
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
    from collections.abc import Callable

    from joserfc.jwk import ECKey, RSAKey

    from app.domain.client import RegisteredClient
    from app.persistence.database import Database

_HEADER: dict[str, object] = {"alg": "ES256", "kid": "current", "typ": "at+jwt"}
_TEN_YEARS = 10 * 365 * 24 * 3600
_ID = "hub-known"


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def _token(
    *, header: dict[str, object] | None = None, key: ECKey | RSAKey | None = None, **claims: object
) -> str:
    now = claims.pop("now", time.time())
    assert isinstance(now, float)
    payload = Claims(_ID, now=now).of_token(**claims)
    return signed({**_HEADER, **(header or {})}, payload, key or ec_key("current"))


def _bearer(**changes: object) -> str:
    return f"Bearer {_token(**changes)}"  # type: ignore[arg-type]


def _now(seconds: int) -> int:
    return int(time.time()) + seconds


def _with_duplicate() -> str:
    claims = json.dumps(Claims(_ID).of_token(sub=None))
    return signed(_HEADER, f'{claims[:-1]}, "sub": "x", "sub": "{_ID}"}}'.encode(), ec_key("current"))


def _assertion() -> str:
    return signed({"alg": "ES256", "kid": "ec", "typ": "JWT"}, Claims(_ID).of_assertion(), ec_key())


def _tampered() -> str:
    header, _, signature = _token().split(".")
    return f"{header}.{encoded(Claims(_ID).of_token(scope='hub:operate'))}.{signature}"


REFUSED: dict[str, Callable[[], str | None]] = {
    "nothing": lambda: None,
    "empty": lambda: "",
    "a token without a scheme": _token,
    "a scheme without a token": lambda: "Bearer",
    "a scheme and a space": lambda: "Bearer ",
    "Basic": lambda: "Basic aHViOnM=",
    "DPoP": lambda: f"DPoP {_token()}",
    "two spaces": lambda: f"Bearer  {_token()}",
    "two tokens": lambda: f"Bearer {_token()}, {_token()}",
    "a line break": lambda: f"Bearer {_token()}\n",
    "half a surrogate": lambda: "Bearer \ud800",
    "9 KiB": lambda: _bearer(more="x" * 9000),
    "the same in other letters": lambda: f"Bearer {respelled(_token())}",
    "changed claims": lambda: f"Bearer {_tampered()}",
    "foreign key": lambda: _bearer(key=ec_key("foreign")),
    "key of a client": lambda: _bearer(key=ec_key(), header={"kid": "ec"}),
    "client assertion": lambda: f"Bearer {_assertion()}",
    "alg none": lambda: f"Bearer {encoded({**_HEADER, 'alg': 'none'})}.{encoded(Claims(_ID).of_token())}.",
    "alg RS256": lambda: _bearer(header={"alg": "RS256"}, key=rsa_key()),
    "alg missing": lambda: (
        f"Bearer {signed({'kid': 'current', 'typ': 'at+jwt'}, Claims(_ID).of_token(), ec_key('current'))}"
    ),
    "kid unknown": lambda: _bearer(header={"kid": "next"}),
    "kid missing": lambda: (
        f"Bearer {signed({'alg': 'ES256', 'typ': 'at+jwt'}, Claims(_ID).of_token(), ec_key('current'))}"
    ),
    "jwk in the header": lambda: _bearer(header={"jwk": ec_key("current").as_dict(private=False)}),
    "crit in the header": lambda: _bearer(header={"crit": ["exp"]}),
    "typ missing": lambda: (
        f"Bearer {signed({'alg': 'ES256', 'kid': 'current'}, Claims(_ID).of_token(), ec_key('current'))}"
    ),
    "typ JWT": lambda: _bearer(header={"typ": "JWT"}),
    "typ is a list": lambda: _bearer(header={"typ": ["at+jwt"]}),
    "iss missing": lambda: _bearer(iss=None),
    "iss of another": lambda: _bearer(iss="https://other.example"),
    "iss is a list": lambda: _bearer(iss=[ISSUER]),
    "aud missing": lambda: _bearer(aud=None),
    "aud of another": lambda: _bearer(aud="https://other.example"),
    "aud is the token endpoint": lambda: _bearer(aud=TOKEN_ENDPOINT),
    "aud is an empty list": lambda: _bearer(aud=[]),
    "aud is an object": lambda: _bearer(aud={RESOURCE: True}),
    "sub missing": lambda: _bearer(sub=None),
    "sub of another": lambda: _bearer(sub="hub-other"),
    "client_id missing": lambda: _bearer(client_id=None),
    "client_id is a list": lambda: _bearer(client_id=[_ID], sub=[_ID]),
    "azp of another": lambda: _bearer(azp="hub-other"),
    "exp missing": lambda: _bearer(exp=None),
    "exp passed": lambda: _bearer(exp=_now(-1), iat=_now(-60)),
    "exp in ten years": lambda: _bearer(exp=_now(_TEN_YEARS)),
    "exp is a text": lambda: _bearer(exp=str(_now(60))),
    "iat missing": lambda: _bearer(iat=None),
    "iat in the future": lambda: _bearer(iat=_now(45)),
    "iat ten years ago": lambda: _bearer(iat=_now(-_TEN_YEARS)),
    "nbf in the future": lambda: _bearer(nbf=_now(45)),
    "jti missing": lambda: _bearer(jti=None),
    "scope missing": lambda: _bearer(scope=None),
    "scope is a list": lambda: _bearer(scope=["statuses:report"]),
    "bound to a certificate": lambda: _bearer(cnf={"x5t#S256": "A" * 43}),
    "duplicate keys": lambda: f"Bearer {_with_duplicate()}",
    "claims are a list": lambda: f"Bearer {signed(_HEADER, [], ec_key('current'))}",
    "claims are not JSON": lambda: f"Bearer {signed(_HEADER, b'{', ec_key('current'))}",
    "client that does not exist": lambda: _bearer(sub="hub-gone", client_id="hub-gone", azp="hub-gone"),
    "client that is revoked": lambda: _bearer(sub="hub-ended", client_id="hub-ended", azp="hub-ended"),
}


def _clients() -> ClientsInMemory:
    return ClientsInMemory(registered(), registered("hub-ended", revoked=True))


class TestAuthenticate:
    @pytest.mark.parametrize("authorization", REFUSED.values(), ids=REFUSED.keys())
    async def test_refuses(self, authorization: Callable[[], str | None]) -> None:
        authenticator = Authenticator(ISSUER, signing_keys(), _clients())
        sent = authorization()
        for _ in range(2):  # what was refused is not kept as good
            with pytest.raises(UnauthenticatedError) as refused:
                await authenticator.authenticate(sent)
            assert str(refused.value) == "A valid access token is needed."

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"aud": [RESOURCE]},
            {"aud": ["https://other.example", RESOURCE]},
            {"header": {"typ": "application/at+jwt"}},
            {"header": {"kid": "previous"}, "key": ec_key("previous")},
            {"azp": None},
            {"iat": int(time.time()) + 20},
        ],
        ids=["plain", "list", "also another", "long typ", "previous key", "no azp", "leeway"],
    )
    async def test_takes(self, changes: dict[str, object]) -> None:
        authenticator = Authenticator(ISSUER, signing_keys(), _clients())
        principal = await authenticator.authenticate(_bearer(**changes))
        assert principal.client_id == _ID
        assert principal.role is Role.SIS
        assert principal.scopes == {Scope.STATUSES_REPORT, Scope.REGISTRATIONS_READ}

    async def test_takes_the_scheme_in_any_case(self) -> None:
        authenticator = Authenticator(ISSUER, signing_keys(), _clients())
        assert (await authenticator.authenticate(f"bearer {_token()}")).client_id == _ID

    async def test_narrows_the_scopes_to_those_of_the_role(self) -> None:
        authenticator = Authenticator(ISSUER, signing_keys(), _clients())
        principal = await authenticator.authenticate(_bearer(scope="statuses:report hub:operate unheard-of"))
        assert principal.scopes == {Scope.STATUSES_REPORT}

    async def test_refuses_a_kept_token_when_it_ends(self) -> None:
        clock = Clock()
        authenticator = Authenticator(ISSUER, signing_keys(), _clients(), clock=clock)
        token = _bearer(now=clock.now)
        assert (await authenticator.authenticate(token)).expires_at == clock.now + 600
        clock.now += 600
        with pytest.raises(UnauthenticatedError):
            await authenticator.authenticate(token)

    async def test_asks_the_database_once_in_twenty_seconds(self) -> None:
        clients, monotonic = _clients(), Clock()
        authenticator = Authenticator(ISSUER, signing_keys(), clients, monotonic=monotonic)
        tokens = [_bearer() for _ in range(5)]
        principals = [await authenticator.authenticate(token) for token in tokens * 10]
        assert clients.finds == 1
        assert principals[0] is principals[5]
        monotonic.now += 21
        await authenticator.authenticate(tokens[0])
        assert clients.finds == 2

    async def test_asks_once_for_all_who_come_at_the_same_moment(self) -> None:
        clients = _clients()
        authenticator = Authenticator(ISSUER, signing_keys(), clients)
        await asyncio.gather(*(authenticator.authenticate(_bearer()) for _ in range(20)))
        assert clients.finds == 1

    async def test_goes_on_for_the_others_when_the_first_leaves(self) -> None:
        asked, answer = asyncio.Event(), asyncio.Event()

        class Slow(ClientsInMemory):
            async def find(self, client_id: str) -> RegisteredClient | None:
                asked.set()
                await answer.wait()
                return await super().find(client_id)

        authenticator = Authenticator(ISSUER, signing_keys(), Slow(registered()))
        first, second = (asyncio.create_task(authenticator.authenticate(_bearer())) for _ in range(2))
        await asked.wait()
        first.cancel()
        answer.set()
        assert (await second).client_id == _ID
        assert first.cancelled()

    async def test_keeps_a_bounded_number_of_tokens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authentication, "_MOST_KEPT", 3)
        authenticator = Authenticator(ISSUER, signing_keys(), _clients())
        for _ in range(6):
            await authenticator.authenticate(_bearer())
        assert len(authenticator._tokens) == 3

    async def test_notices_changed_rights(self) -> None:
        clients, monotonic = _clients(), Clock()
        authenticator = Authenticator(ISSUER, signing_keys(), clients, monotonic=monotonic)
        token = _bearer()
        await authenticator.authenticate(token)
        clients.clients[_ID] = registered(brins=frozenset({"25GV"}))
        monotonic.now += 21
        assert (await authenticator.authenticate(token)).brins == {"25GV"}

    async def test_takes_what_the_token_endpoint_hands_out_until_it_is_revoked(
        self, database: Database
    ) -> None:
        clients, monotonic = ClientService(database), Clock()
        client_id = await clients.add_client(
            name="R", role=Role.INSTITUTION, oin=OIN, brins=["25GV", "25LH"], jwks=jwks(ec_key())
        )
        app = Starlette(routes=list(token_routes(ISSUER, signing_keys(), clients, token_seconds=300)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ISSUER) as http:
            assertion = signed({"alg": "ES256", "kid": "ec"}, Claims(client_id).of_assertion(), ec_key())
            token = (await http.post("/oauth/token", data=form(assertion))).json()["access_token"]
        authenticator = Authenticator(ISSUER, signing_keys(), clients, monotonic=monotonic)
        principal = await authenticator.authenticate(f"Bearer {token}")
        assert (principal.oin, principal.organisation_name, principal.role) == (OIN, "R", Role.INSTITUTION)
        assert principal.brins == {"25GV", "25LH"}
        assert await authenticator.still_valid(principal)

        await clients.revoke_client(client_id)
        monotonic.now += 21
        assert not await authenticator.still_valid(principal)
        with pytest.raises(UnauthenticatedError):
            await authenticator.authenticate(f"Bearer {token}")


class TestStillValid:
    @pytest.mark.parametrize(
        "changes",
        [
            {"revoked": True},
            {"role": Role.OS},
            {"organisation_id": 2},
            {"brins": frozenset({"25GV"})},
            {"region": "29"},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    async def test_ends_a_connection_whose_rights_changed(self, changes: dict[str, object]) -> None:
        clients, monotonic = _clients(), Clock()
        authenticator = Authenticator(ISSUER, signing_keys(), clients, monotonic=monotonic)
        principal = await authenticator.authenticate(_bearer())
        clients.clients[_ID] = registered(_ID, **changes)
        assert await authenticator.still_valid(principal)
        monotonic.now += 21
        assert not await authenticator.still_valid(principal)

    async def test_ends_a_connection_whose_token_ended(self) -> None:
        authenticator = Authenticator(ISSUER, signing_keys(), _clients())
        principal = await authenticator.authenticate(_bearer())
        assert not await authenticator.still_valid(replace(principal, expires_at=time.time()))

    async def test_keeps_connections_while_the_database_is_away(self) -> None:
        class Away(ClientsInMemory):
            away = False

            async def find(self, client_id: str) -> RegisteredClient | None:
                if self.away:
                    raise UnavailableError
                return await super().find(client_id)

        clients, monotonic = Away(registered()), Clock()
        authenticator = Authenticator(ISSUER, signing_keys(), clients, monotonic=monotonic)
        token = _bearer()
        principal = await authenticator.authenticate(token)
        clients.away = True
        monotonic.now += 21
        assert await authenticator.still_valid(principal)
        with pytest.raises(UnavailableError):
            await authenticator.authenticate(token)
