r"""A complete small transfer system: follows students, hears every change once, survives whatever happens.

    pip install "gql[httpx,websockets]" joserfc
    HUB_URL=https://hub.example CLIENT_ID=hub-… KEY_FILE=private-key.json \
        python transfer_system.py students.json state.json

CERTIFICATE_FILE and CERTIFICATE_KEY_FILE (PEM) are your client certificate, CA_FILE the authorities that you
trust, if not the usual ones.

`students.json` is a list of {"personalNumber": …, "reference": …}; `state.json` is where the last number is
kept. Each change is printed as a line of JSON: put your own handling there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import ssl
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportError, TransportQueryError, TransportServerError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from joserfc import jwt
from joserfc.jwk import JWKRegistry

HUB = os.environ["HUB_URL"].rstrip("/")
CLIENT_ID = os.environ["CLIENT_ID"]
KEY = JWKRegistry.import_key(json.loads(Path(os.environ["KEY_FILE"]).read_text()))


def tls() -> ssl.SSLContext:
    """Return what connections are made with: your client certificate, where the hub knows you by one."""
    context = ssl.create_default_context(cafile=os.environ.get("CA_FILE"))
    if certificate := os.environ.get("CERTIFICATE_FILE"):
        context.load_cert_chain(certificate, os.environ["CERTIFICATE_KEY_FILE"])
    return context


TLS = tls()

STUDENTS_AT_ONCE = 500
ACKNOWLEDGE_SECONDS = float(os.environ.get("ACKNOWLEDGE_SECONDS", "5"))
SILENCE_SECONDS = 45  # the hub pings every 15 s: three missed pings are a dead connection
LONGEST_WAIT = float(os.environ.get("LONGEST_WAIT_SECONDS", "30"))

REGISTRATION = """
  applicationId reference status statusSince schoolYear
  institution { brin name } programme { code name level }
"""
FOLLOW = f"""
mutation Follow($input: FollowStudentsInput!) {{
  followStudents(input: $input) {{
    results {{ reference outcome code registrations {{ {REGISTRATION} }} }}
    feed {{ lastNumber }}
  }}
}}
"""
POSITION = "query Position { feed { lastNumber } }"
FOLLOWED = f"""
query Followed($after: String) {{
  followedStudents(first: 200, after: $after) {{
    nodes {{ reference registrations {{ {REGISTRATION} }} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""
LISTEN = f"""
subscription Listen($after: Int!) {{
  statusChanged(after: $after) {{
    number kind reference applicationId status previousStatus occurredAt registration {{ {REGISTRATION} }}
  }}
}}
"""
ACKNOWLEDGE = """
mutation Acknowledge($number: Int!) {
  acknowledgeStatusChanges(input: { number: $number }) { acknowledged }
}
"""


class GapError(Exception):
    """A number was skipped: ask again from the last one that was seen."""


class State:
    """The last number, and the students that were followed; on disk before the next change is taken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {}
        self.last: int | None = kept.get("last")

    def save(self, last: int) -> None:
        """Keep a number; a crash leaves the old file or the new one."""
        self.last = last
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text(json.dumps({"last": last}))
        unfinished.replace(self._path)


def show(event: str, **what: object) -> None:
    """Tell what happened. Here your own system takes over."""
    print(json.dumps({"event": event, **what}), flush=True)  # noqa: T201 - this is what the example does


class Tokens:
    """Access tokens by private_key_jwt; one is used until shortly before its end."""

    def __init__(self) -> None:
        self._token = ""
        self._renew_at = 0.0

    async def current(self) -> str:
        """Return a token that is good for a while."""
        if time.time() >= self._renew_at:
            now = int(time.time())
            claims = {
                "iss": CLIENT_ID,
                "sub": CLIENT_ID,
                "aud": f"{HUB}/oauth/token",
                "iat": now,
                "exp": now + 60,
                "jti": str(uuid.uuid4()),  # each assertion is good once
            }
            form = {
                "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": jwt.encode({"alg": "ES256", "kid": KEY.kid}, claims, KEY),
            }
            async with httpx.AsyncClient(verify=TLS, timeout=20) as client:
                answer = (await client.post(f"{HUB}/oauth/token", data=form)).raise_for_status().json()
            self._token = answer["access_token"]
            self._renew_at = time.time() + 0.8 * answer["expires_in"]
        return self._token

    def discard(self) -> None:
        """Get a new one next time: the hub did not take this one."""
        self._renew_at = 0.0


class TransferSystem:
    """What a transfer system does with the hub."""

    def __init__(self, students: list[dict[str, str]], state: State) -> None:
        self._students = students
        self._state = state
        self._tokens = Tokens()
        self._acknowledged = 0

    async def run(self) -> None:
        """Follow, take the snapshot, listen; for ever."""
        attempt = 0
        while True:
            heard = self._state.last
            try:
                if self._state.last is None:
                    self._state.save(await self._follow())
                await self._listen()
            except TransportQueryError as refusal:
                await self._answer(refusal)
            except (TransportError, httpx.HTTPError, OSError, TimeoutError, GapError) as reason:
                # 4403 among others: the token's life is over.
                self._tokens.discard()
                show("disconnected", why=type(reason).__name__)
            attempt = 0 if self._state.last != heard else attempt + 1
            # With chance, so that all clients do not come back at once after a restart of the hub.
            await asyncio.sleep(min(LONGEST_WAIT, 0.2 * 2**attempt) * random.uniform(0.5, 1))  # noqa: S311

    async def _follow(self) -> int:
        """Follow all students, and return the number from which on to listen."""
        start: int | None = None
        for first in range(0, len(self._students), STUDENTS_AT_ONCE):
            some = self._students[first : first + STUDENTS_AT_ONCE]
            payload = (await self._ask(FOLLOW, {"input": {"students": some}}))["followStudents"]
            # What these registrations do not show has a number above this position; so the first one counts.
            start = payload["feed"]["lastNumber"] if start is None else start
            for result in payload["results"]:
                show("followed", **result)
        return start or 0

    async def _snapshot(self) -> int:
        """Take the present state of everybody, and return the number from which on to listen."""
        position = (await self._ask(POSITION))["feed"]["lastNumber"]  # before the registrations, not after
        after: str | None = None
        while True:
            page = (await self._ask(FOLLOWED, {"after": after}))["followedStudents"]
            for student in page["nodes"]:
                show("snapshot", **student)
            if not page["pageInfo"]["hasNextPage"]:
                return int(position)
            after = page["pageInfo"]["endCursor"]

    async def _listen(self) -> None:
        """Take changes after the last number until the connection ends, which always raises."""
        transport = WebsocketsTransport(
            url=f"{HUB.replace('http', 'ws', 1)}/graphql",
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
            init_payload={"authorization": f"Bearer {await self._tokens.current()}"},
            keep_alive_timeout=SILENCE_SECONDS,
            ssl=TLS if HUB.startswith("https:") else False,
        )
        async with Client(transport=transport) as session:
            acknowledging = asyncio.create_task(self._acknowledge())
            try:
                show("listening", after=self._state.last)
                request = GraphQLRequest(LISTEN, variable_values={"after": self._state.last})
                async for answer in session.subscribe(request):
                    self._take(answer["statusChanged"])
            finally:
                acknowledging.cancel()
        raise TransportServerError("the hub ended the subscription")

    def _take(self, change: dict[str, Any]) -> None:
        last = self._state.last or 0
        if change["number"] <= last:
            return  # once more, after a reconnect: it is the same change
        if change["number"] != last + 1:
            raise GapError
        show("change", **change)
        self._state.save(change["number"])

    async def _acknowledge(self) -> None:
        """Tell the hub now and then how far this system is, so that both sides see it fall behind."""
        while True:
            await asyncio.sleep(ACKNOWLEDGE_SECONDS)
            number = self._state.last or 0
            if number > self._acknowledged:
                with suppress(TransportError, httpx.HTTPError):
                    await self._ask(ACKNOWLEDGE, {"number": number})
                    self._acknowledged = number

    async def _answer(self, refusal: TransportQueryError) -> None:
        """Do what the code of a refusal asks for."""
        code = (refusal.errors or [{}])[0].get("extensions", {}).get("code")
        show("refused", code=code)
        if code in {"CURSOR_EXPIRED", "CURSOR_AHEAD"}:
            self._state.save(await self._snapshot())
        elif code == "UNAUTHENTICATED":
            self._tokens.discard()
        elif code in {"FORBIDDEN", "BAD_USER_INPUT"}:
            raise SystemExit(f"the hub refuses this: {code}")

    async def _ask(self, text: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        transport = HTTPXAsyncTransport(
            url=f"{HUB}/graphql",
            headers={"Authorization": f"Bearer {await self._tokens.current()}"},
            timeout=30,
            verify=TLS,
        )
        async with Client(transport=transport) as session:
            answer: dict[str, Any] = await session.execute(
                GraphQLRequest(text, variable_values=variables or {})
            )
            return answer


if __name__ == "__main__":
    logging.getLogger("gql").setLevel(logging.ERROR)  # it logs what it sends, personal numbers among it
    wanted = json.loads(Path(sys.argv[1]).read_text())
    with suppress(KeyboardInterrupt):
        asyncio.run(TransferSystem(wanted, State(Path(sys.argv[2]))).run())
