"""A client of the public API over HTTP: tokens by `private_key_jwt`, then `POST /graphql`."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ssl import SSLContext

    from app.simulation.credentials import Credentials

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_METADATA = "/.well-known/oauth-authorization-server"
_PATIENCE_SECONDS = 60.0
_LONGEST_PAUSE = 5.0
_LEFT_OF_TOKEN = 0.25  # a token is renewed when this part of its life is left
_TRY_AGAIN = frozenset({"UNAVAILABLE", "RATE_LIMITED"})
_UNAUTHENTICATED = "UNAUTHENTICATED"
_TOO_BUSY = 429


class HubError(Exception):
    """What the hub refused, or that it could not be reached; the text holds no value of a request."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def is_loopback(host: str | None) -> bool:
    """Tell whether this is a name or address of the machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def http_client(url: str, tls: SSLContext | None = None) -> httpx.AsyncClient:
    """Return an HTTP client for a hub; a proxy of the environment is not asked about this machine."""
    return httpx.AsyncClient(
        base_url=url.rstrip("/"),
        timeout=60.0,
        trust_env=not is_loopback(urlsplit(url).hostname),
        verify=tls or True,
    )


class HubClient:
    """One OAuth client of a hub. What fails on the way is tried again for a minute.

    `addresses`: where else the same hub is, to be tried in turn when it does not answer.
    """

    def __init__(
        self, http: httpx.AsyncClient, credentials: Credentials, addresses: Sequence[str] = ()
    ) -> None:
        self._http = http
        self._credentials = credentials
        self._addresses = deque(one.rstrip("/") for one in (str(http.base_url), *addresses))
        self._known = False
        self._token = ""
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()
        self.retries = 0

    @property
    def name(self) -> str:
        """What people call the client."""
        return self._credentials.name

    @property
    def tls(self) -> SSLContext | None:
        """What its connections are made with, None for what is usual."""
        return self._credentials.tls

    @property
    def url(self) -> str:
        """The address of the hub that is tried now, without a slash at its end."""
        return self._addresses[0]

    def expect(self) -> None:
        """Know that there is a hub: while it does not answer, it is waited for."""
        self._known = True

    def look_elsewhere(self) -> None:
        """Try the next address from now on, if there are several."""
        self._addresses.rotate(-1)

    async def token(self) -> str:
        """Return an access token that is good for some time yet. Raises HubError."""
        async with self._renewing:
            if time.monotonic() >= self._renew_at:
                self._token, seconds = await self.new_token()
                self._renew_at = time.monotonic() + seconds * (1 - _LEFT_OF_TOKEN)
        return self._token

    def discard_token(self) -> None:
        """Forget a token that the hub has refused."""
        self._renew_at = 0.0

    async def new_token(self) -> tuple[str, int]:
        """Ask for an access token; return it with its life in seconds. Raises HubError."""
        try:
            metadata = (await self._http.get(f"{self.url}{_METADATA}")).raise_for_status().json()
            form = {
                "grant_type": "client_credentials",
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self._credentials.assertion(str(metadata["issuer"])),
            }
            answer = await self._http.post(f"{self.url}/oauth/token", data=form)
            body = answer.json()
        except (httpx.HTTPError, ValueError, KeyError) as error:
            message = f"{self.url} gives no tokens ({type(error).__name__}); is a hub running there?"
            raise HubError(message, self._passing) from None
        if answer.is_error:
            code = self._passing if answer.is_server_error or answer.status_code == _TOO_BUSY else ""
            raise HubError(f"{self.url} refuses the client {self.name!r}: {body.get('error')}", code)
        self._known = True
        return str(body["access_token"]), int(body["expires_in"])

    @property
    def _passing(self) -> str:
        # Who never got a token is told at once that there is no hub; who did waits for it to come back.
        return "UNAVAILABLE" if self._known else ""

    async def ask(self, document: str, variables: Mapping[str, object] | None = None) -> dict[str, object]:
        """Return the `data` of an operation; raise HubError when it is refused.

        Every operation of the hub may be sent again: messages have ids, follows have references.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        pause = 0.1
        while True:
            try:
                return await self._ask(document, variables)
            except httpx.TransportError as error:
                failure = HubError(f"{self.url} does not answer ({type(error).__name__})", "UNAVAILABLE")
            except HubError as error:
                if error.code == _UNAUTHENTICATED:
                    self.discard_token()
                elif error.code not in _TRY_AGAIN:
                    raise
                failure = error
            if time.monotonic() > deadline:
                raise failure
            self.retries += 1
            self.look_elsewhere()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _ask(self, document: str, variables: Mapping[str, object] | None) -> dict[str, object]:
        answer = await self._http.post(
            f"{self.url}/graphql",
            json={"query": document, "variables": variables},
            headers={
                "Accept": "application/graphql-response+json",
                "Authorization": f"Bearer {await self.token()}",
            },
        )
        try:
            body = answer.json()
        except ValueError:
            code = "UNAVAILABLE" if answer.is_server_error or answer.status_code == _TOO_BUSY else ""
            raise HubError(f"{self.url} answered {answer.status_code} without JSON", code) from None
        if errors := body.get("errors"):
            code = str(errors[0].get("extensions", {}).get("code", ""))
            raise HubError(f"{self.name}: {code} {errors[0].get('message', '')}", code)
        data: dict[str, object] = body["data"]
        return data
