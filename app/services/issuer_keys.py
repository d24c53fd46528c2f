"""The public keys of external issuers (RFC 7517): from a file, or fetched from an address.

A key that is not known is looked for once a minute at most, whatever is asked; keys are fetched anew every
ten minutes, and what was fetched counts for an hour while the issuer is away.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from app.domain.errors import UnavailableError
from app.domain.internet import is_public
from app.domain.webhook import WebhookAddress
from app.feed.webhook_sender import resolve
from app.services.client_keys import usable_keys
from app.telemetry import log

if TYPE_CHECKING:
    import ssl

    from app.domain.client import PublicJwk

LOOK_SECONDS = 60.0
_STALE_SECONDS = 600.0
_LONGEST_SECONDS = 3600.0
_FETCH_SECONDS = 5.0
_LARGEST = 256 * 1024
_PLACES_AT_MOST = 4
_OK = 200

Source = Callable[[], Awaitable[object]]


class IssuerKeys:
    """The keys of one issuer, by their ids."""

    def __init__(self, issuer: str, source: Source, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._source = source
        self._monotonic = monotonic
        self._keys: Mapping[str, PublicJwk] = {}
        self._asked_at = self._got_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> PublicJwk | None:
        """Return a key, None if the issuer has no such one; raise UnavailableError if it cannot be asked."""
        now = self._monotonic()
        due = now - self._asked_at >= LOOK_SECONDS
        if (
            self._asking is None
            and due
            and (key_id not in self._keys or now - self._got_at >= _STALE_SECONDS)
        ):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None and (key_id not in self._keys or now - self._got_at >= _LONGEST_SECONDS):
            await asyncio.shield(self._asking)
        if self._monotonic() - self._got_at >= _LONGEST_SECONDS:
            raise UnavailableError
        return self._keys.get(key_id)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                keys = usable_keys(await self._source())
            if not keys:
                raise ValueError  # noqa: TRY301 - no answer is better than that one
            self._keys, self._got_at = {key["kid"]: key for key in keys}, self._monotonic()
        except Exception as error:  # noqa: BLE001 - whatever it is, what is known goes on counting
            log.warning("issuer_keys_unavailable", issuer=self.issuer, error=type(error).__name__)
        finally:
            self._asking = None


def source_of_keys(address: str, tls: ssl.SSLContext, *, allow_private: bool) -> Source:
    """Return where the keys come from: a file, or an address, private only if that is allowed.

    Raises BadUserInputError for an address that can never be used.
    """
    if "://" in address:
        WebhookAddress.parse(address, plain=allow_private)
        return lambda: _fetched(address, tls, allow_private=allow_private)
    path = Path(address)
    return lambda: asyncio.to_thread(_read, path)


def _read(path: Path) -> object:
    if path.stat().st_size > _LARGEST:
        raise ValueError
    found: object = json.loads(path.read_bytes())
    return found


async def _fetched(url: str, tls: ssl.SSLContext, *, allow_private: bool) -> object:
    """Fetch JSON from the very address that was judged; no redirect, no proxy, no cookie."""
    address = WebhookAddress.parse(url, plain=allow_private)
    places = await resolve(address.host, address.port)
    if not places or not (allow_private or all(is_public(one) for one in places)):
        raise PermissionError
    for number, place in enumerate(places, 1):
        try:
            return json.loads(await _body(place, address, tls))
        except httpx.ConnectError:
            if number in {len(places), _PLACES_AT_MOST}:
                raise
    return None


async def _body(place: str, address: WebhookAddress, tls: ssl.SSLContext) -> bytes:
    request = httpx.Request(
        "GET",
        httpx.URL(scheme=address.scheme, host=place, port=address.port, raw_path=address.target.encode()),
        headers={"host": address.authority, "accept": "application/jwk-set+json, application/json"},
        extensions={"sni_hostname": address.host},
    )
    body = bytearray()
    async with httpx.AsyncHTTPTransport(verify=tls, trust_env=False) as transport:
        response = await transport.handle_async_request(request)
        try:
            if response.status_code != _OK or "content-encoding" in response.headers:
                raise ValueError
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _LARGEST:
                    raise ValueError
        finally:
            await response.aclose()
    return bytes(body)
