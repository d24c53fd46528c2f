"""From an access token to the caller, and everything that must not become one."""

from __future__ import annotations

import asyncio
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
from tests.factories.bad_tokens import ACCESS_TOKENS, Forger
from tests.factories.identity import (
    ISSUER,
    OIN,
    RESOURCE,
    Claims,
    ClientsInMemory,
    ec_key,
    form,
    jwks,
    registered,
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


def _clients() -> ClientsInMemory:
    return ClientsInMemory(registered(), registered("hub-ended", revoked=True))


class TestAuthenticate:
    @pytest.mark.parametrize("make", ACCESS_TOKENS.values(), ids=ACCESS_TOKENS.keys())
    async def test_refuses(self, make: Callable[[Forger], str | None]) -> None:
        authenticator = Authenticator(ISSUER, signing_keys(), _clients())
        sent = make(Forger(_ID, ec_key("current")))
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
        ],
        ids=["plain", "list", "also another", "long typ", "previous key", "no azp"],
    )
    async def test_takes(self, changes: dict[str, object]) -> None:
        authenticator = Authenticator(ISSUER, signing_keys(), _clients())
        principal = await authenticator.authenticate(_bearer(**changes))
        assert principal.client_id == _ID
        assert principal.role is Role.SIS
        assert principal.scopes == {Scope.STATUSES_REPORT, Scope.REGISTRATIONS_READ}

    async def test_takes_a_clock_that_is_a_little_ahead(self) -> None:
        authenticator = Authenticator(ISSUER, signing_keys(), _clients())
        assert (await authenticator.authenticate(_bearer(iat=_now(20)))).client_id == _ID

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
