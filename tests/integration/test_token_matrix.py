"""The table of what must never be a token: each row asks a live hub, and proves that nothing happened."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from app.domain.access import Role
from app.services.keys import load_signing_keys
from tests.factories.bad_tokens import ACCESS_TOKENS, ASSERTIONS, BadRequest, Forger, assertion, moment
from tests.factories.identity import Claims, ec_key, form, registered, signed
from tests.factories.served_hub import Door, Registered, ServedHub, served
from tests.factories.world import a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

_FORM = {"content-type": "application/x-www-form-urlencoded"}
FOLLOW = "mutation($input: FollowStudentsInput!) { followStudents(input: $input) { feed { lastNumber } } }"


@pytest.fixture(scope="module")
async def hub(template: str, key_files: dict[str, Path]) -> AsyncIterator[ServedHub]:
    async with served(template, **key_files, rate_tokens=10_000) as running:
        yield running


@pytest.fixture(scope="module")
async def door(hub: ServedHub) -> AsyncIterator[Door]:
    async with hub.door() as opened:
        yield opened


@pytest.fixture(scope="module")
async def vendor(hub: ServedHub) -> Registered:
    """Register a SIS vendor with an EC key, an RSA key, and an RSA key for PS256 alone."""
    return await hub.client(Role.SIS, keys={"keys": [dict(key) for key in registered().keys]})


@pytest.fixture(scope="module")
async def transfer_system(hub: ServedHub) -> Registered:
    return await hub.client(Role.OS)


@pytest.fixture(scope="module")
def forger(transfer_system: Registered, key_files: dict[str, Path]) -> Forger:
    """Return who makes tokens with the very key of the hub."""
    keys = load_signing_keys(key_files["signing_keys_file"], create=False)
    return Forger(transfer_system.client_id, keys.current)


@pytest.fixture(scope="module")
async def good(door: Door, transfer_system: Registered) -> str:
    return await door.token(transfer_system)


async def issued(hub: ServedHub) -> tuple[int, int]:
    """Return how many tokens were issued, and how many assertions are used up."""
    async with hub.database.connection() as connection:
        tokens = await connection.fetchval(
            "select coalesce(sum(count), 0) from security_record where event = 'TOKEN_ISSUED'"
        )
    return int(tokens), await hub.count("client_assertion")


@contextmanager
def cheaply() -> Iterator[None]:
    """Prove that what is wrong costs less than a tenth of a second of CPU, ours included."""
    started = time.process_time()
    yield
    assert time.process_time() - started < 0.1


def check_refusal(answered: httpx.Response, status: int, error: str) -> None:
    assert (answered.status_code, answered.json()["error"]) == (status, error)
    assert answered.headers["cache-control"] == "no-store"
    assert answered.json().keys() == {"error", "error_description"}


class TestAssertions:
    @pytest.mark.parametrize("case", ASSERTIONS.values(), ids=ASSERTIONS.keys())
    async def test_get_nothing(
        self, hub: ServedHub, door: Door, vendor: Registered, case: BadRequest
    ) -> None:
        before = await issued(hub)
        sent = form(case.made(vendor.client_id), **(case.form or {}))
        with cheaply():
            answered = await door.http.post("/oauth/token", data=sent)

        check_refusal(answered, case.status, case.error)
        for word in ("evil", "other", "password", vendor.client_id, "1=1"):
            assert word not in answered.text
        # Only who is authenticated uses up an identifier.
        used = case.error == "invalid_scope"
        assert await issued(hub) == (before[0], before[1] + used)
        good = await door.http.post("/oauth/token", data=form(assertion(vendor.client_id)))
        assert good.status_code == 200

    async def test_of_unknown_clients_look_like_those_with_a_wrong_key(
        self, door: Door, vendor: Registered, hub: ServedHub
    ) -> None:
        revoked = await hub.client()
        await hub.clients.revoke_client(revoked.client_id)
        answers = [
            await door.http.post("/oauth/token", data=form(sent))
            for sent in (
                assertion("hub-nobody"),
                assertion(revoked.client_id),
                assertion(vendor.client_id, key=ec_key("foreign")),
                assertion(vendor.client_id, header={"kid": "unknown"}),
                assertion(revoked.client_id, key=ec_key("foreign")),
            )
        ]
        seen = {
            (one.status_code, one.text, *(value for name, value in one.headers.items() if name not in _OWN))
            for one in answers
        }
        assert len(seen) == 1
        check_refusal(answers[0], 401, "invalid_client")


_OWN = {"date", "x-request-id"}  # headers that differ between any two answers


def encoded(right: dict[str, str], **more: str) -> bytes:
    return str(httpx.QueryParams({**right, **more})).encode()


@dataclass(frozen=True)
class Around:
    """A request that is wrong whatever its assertion is."""

    method: str = "POST"
    path: str = "/oauth/token"
    body: Callable[[dict[str, str]], bytes | None] = encoded
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 400


REQUESTS: dict[str, Around] = {
    "GET": Around("GET", body=lambda _: None, status=405),
    "GET with all in the address": Around("GET", "/oauth/token?{query}", body=lambda _: None, status=405),
    "PUT": Around("PUT", status=405),
    "DELETE": Around("DELETE", status=405),
    "also in the address": Around(path="/oauth/token?{query}"),
    "a token in the address": Around(path="/oauth/token?client_assertion=x"),
    "JSON": Around(headers=(("content-type", "application/json"),)),
    "plain text": Around(headers=(("content-type", "text/plain"),)),
    "multipart": Around(headers=(("content-type", "multipart/form-data; boundary=x"),)),
    "no content type": Around(headers=(("content-type", ""),)),
    "another charset": Around(headers=(("content-type", f"{_FORM['content-type']}; charset=utf-16"),)),
    "compressed": Around(headers=(("content-encoding", "gzip"),)),
    "Basic beside it": Around(headers=(("authorization", "Basic aHViOnM="),)),
    "Bearer beside it": Around(headers=(("authorization", "Bearer x"),)),
    "client_secret beside it": Around(body=lambda right: encoded(right, client_secret="x")),
    "empty client_secret beside it": Around(body=lambda right: encoded(right, client_secret="")),
    "everything twice": Around(body=lambda right: encoded(right) + b"&" + encoded(right)),
    "scope twice": Around(body=lambda right: encoded(right) + b"&scope=a&scope=b"),
    "two assertions": Around(body=lambda right: encoded(right) + b"&client_assertion=x"),
    "thirty parameters": Around(body=lambda right: encoded(right, **{f"p{n}": "1" for n in range(30)})),
    "broken percent": Around(body=lambda right: encoded(right) + b"&scope=%ff"),
    "bytes beyond ASCII": Around(body=lambda right: encoded(right) + b"&scope=\xc3\xa9"),
    "nothing": Around(body=lambda _: b""),
    "64 KiB": Around(body=lambda right: encoded(right, more="x" * 66_000), status=413),
    "a megabyte": Around(body=lambda right: encoded(right, more="x" * 1_048_576), status=413),
}  # fmt: skip


class TestRequests:
    @pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS.keys())
    async def test_get_nothing(self, hub: ServedHub, door: Door, vendor: Registered, case: Around) -> None:
        before = await issued(hub)
        right = form(assertion(vendor.client_id))
        path, body = case.path.format(query=httpx.QueryParams(right)), case.body(right)
        headers = {**_FORM, **dict(case.headers)}
        with cheaply():
            answered = await door.http.request(case.method, path, content=body, headers=headers)
        assert answered.status_code == case.status
        if case.status != 405:
            check_refusal(answered, case.status, "invalid_request")
        assert await issued(hub) == before
        # The very assertion that came in a wrong request is still good.
        assert (await door.http.post("/oauth/token", data=right)).status_code == 200


class TestReplays:
    async def test_get_nothing(self, hub: ServedHub, door: Door, vendor: Registered) -> None:
        right = form(assertion(vendor.client_id))
        assert (await door.http.post("/oauth/token", data=right)).status_code == 200
        before = await issued(hub)
        check_refusal(await door.http.post("/oauth/token", data=right), 401, "invalid_client")
        assert await issued(hub) == before

    async def test_under_another_signature_get_nothing(
        self, hub: ServedHub, door: Door, vendor: Registered
    ) -> None:
        for jti_again in range(2):
            answered = await door.http.post(
                "/oauth/token",
                data=form(assertion(vendor.client_id, jti="again", exp=moment(60 + jti_again))),
            )
            assert answered.status_code == (401 if jti_again else 200)

    async def test_at_the_same_moment_at_two_hubs_have_one_winner(
        self, hub: ServedHub, door: Door, vendor: Registered, template: str, key_files: dict[str, Path]
    ) -> None:
        async with served(template, hub, **key_files) as second, second.door() as other:
            before = await issued(hub)
            for _ in range(5):
                right = form(assertion(vendor.client_id))
                answers = await asyncio.gather(
                    *(each.http.post("/oauth/token", data=right) for each in (door, other) * 4)
                )
                assert sorted(one.status_code for one in answers) == [200] + [401] * 7
            assert await issued(hub) == (before[0] + 5, before[1] + 5)


class TestRate:
    async def test_of_tokens_is_refused_with_429_and_leaves_the_assertion_good(
        self, template: str, key_files: dict[str, Path], hub: ServedHub
    ) -> None:
        async with served(template, **key_files, rate_tokens=3) as slow, slow.door() as door:
            client, bystander = await slow.client(), await slow.client()
            for _ in range(30):  # what somebody else tries in its name counts for nothing
                forged = signed(
                    {"alg": "ES256", "kid": "ec"}, Claims(client.client_id).of_assertion(), ec_key("x")
                )
                assert (await door.http.post("/oauth/token", data=form(forged))).status_code == 401
            for _ in range(3):
                assert (await door.ask_token(client)).status_code == 200
            for attempt in range(5):  # what grows back meanwhile lets one or two more through
                jti, before = f"later-{attempt}", await issued(slow)
                answered = await door.ask_token(client, jti=jti)
                if answered.status_code != 200:
                    break
            else:
                pytest.fail("the rate has no end")
            check_refusal(answered, 429, "temporarily_unavailable")
            assert 1 <= int(answered.headers["retry-after"]) <= 60
            assert await issued(slow) == before
            assert (await door.ask_token(bystander)).status_code == 200
        async with served(template, slow, **key_files) as quick, quick.door() as door:
            assert (await door.ask_token(client, jti=jti)).status_code == 200


class TestAccessTokens:
    async def test_of_the_forger_are_good_as_long_as_nothing_is_wrong_with_them(
        self, door: Door, forger: Forger
    ) -> None:
        assert (await door.view(forger.bearer())).status_code == 200
        assert await door.greet(forger.bearer()) is None

    @pytest.mark.parametrize("make", ACCESS_TOKENS.values(), ids=ACCESS_TOKENS.keys())
    async def test_get_nobody_in(
        self, hub: ServedHub, door: Door, forger: Forger, good: str, make: Callable[[Forger], str | None]
    ) -> None:
        token = make(forger)
        follows = await hub.count("follow")
        if token is None or (token.isprintable() and token == token.strip()):
            student = {"personalNumber": a_personal_number(), "reference": "r"}
            with cheaply():
                answered = await door.http.post(
                    "/graphql",
                    json={"query": FOLLOW, "variables": {"input": {"students": [student]}}},
                    headers={} if token is None else {"Authorization": token},
                )
            assert answered.status_code == 401
            assert answered.headers["www-authenticate"] == "Bearer"
            (error,) = answered.json()["errors"]
            assert (error["extensions"], "data" in answered.json()) == ({"code": "UNAUTHENTICATED"}, False)
            if token is not None and token.isascii():
                await self.check_header(door, token)
        half = token is not None and "\ud800" in token  # such a frame is no JSON
        assert await door.greet(token) == ((4400, "Malformed message") if half else (4403, "Forbidden"))
        assert await hub.count("follow") == follows
        assert (await door.view(f"Bearer {good}")).status_code == 200
        assert await door.greet(f"Bearer {good}") is None

    async def check_header(self, door: Door, token: str) -> None:
        """Open a websocket with a bad token in its handshake."""
        if len(token) > 8000:
            with pytest.raises(InvalidStatus, match="400"):
                await door.greet(None, {"Authorization": token})
        else:
            assert await door.greet(None, {"Authorization": token}) == (4403, "Forbidden")

    @pytest.mark.parametrize("value", [1, True, ["Bearer x"], {"token": "x"}])
    async def test_that_are_no_text_get_nobody_in(self, door: Door, value: object) -> None:
        assert await door.greet(value) == (4403, "Forbidden")

    async def test_in_an_address_get_nobody_in(self, door: Door, good: str) -> None:
        answered = await door.http.post(f"/graphql?access_token={good}", json={"query": "{viewer{clientId}}"})
        assert answered.status_code == 401

    async def test_of_a_revoked_client_get_nobody_in(self, hub: ServedHub, door: Door) -> None:
        client = await hub.client()
        token = await door.token(client)
        await hub.clients.revoke_client(client.client_id)
        assert (await door.view(f"Bearer {token}")).status_code == 401
        assert await door.greet(f"Bearer {token}") == (4403, "Forbidden")
