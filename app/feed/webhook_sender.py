"""One POST to an address that somebody else chose: nowhere but where it may go, and never for long."""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import httpx

from app.domain.errors import BadUserInputError
from app.domain.internet import is_public
from app.domain.webhook import WebhookAddress, WebhookProblem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

_SECONDS = 10.0
_CONNECT_SECONDS = 4.0
_ADDRESSES_AT_MOST = 4
_FRESH_CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=0)

# Of their own, so that name servers that hang keep nobody else in this process waiting.
_RESOLVERS = ThreadPoolExecutor(16, thread_name_prefix="webhook-resolver")

_GONE, _TOO_MANY, _UNAVAILABLE = 410, 429, 503
_KINDS = {
    2: None,
    3: WebhookProblem.REDIRECTED,
    4: WebhookProblem.REFUSED,
}


class DeliveryFailedError(Exception):
    """A notification was not taken. `wish` is the Retry-After of who asked for time."""

    def __init__(self, problem: WebhookProblem, wish: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.wish = wish


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, best first; raise OSError when it has none."""
    found = await asyncio.get_running_loop().run_in_executor(
        _RESOLVERS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Return what certificates are judged by: the public authorities, and those of a file beside them.

    Nothing is taken from the environment. Raises OSError for a file that cannot be used.
    """
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


class WebhookSender:
    """Sends to addresses that were looked up and judged at that moment, and to those alone.

    The connection goes to the very address that was judged, under the name that was registered: what a name
    server says next cannot matter. Proxies, redirects and cookies are unknown here. The answer is its status
    and its headers; of the body nothing is read.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        allow_private: bool,
        resolve: Resolve = resolve,
        seconds: float = _SECONDS,
    ) -> None:
        self._tls = tls
        self._allow_private = allow_private
        self._resolve = resolve
        self._seconds = seconds

    async def check(self, url: str) -> None:
        """Raise BadUserInputError, or DeliveryFailedError, for an address that may not be used."""
        address = WebhookAddress.parse(url, plain=self._allow_private)
        try:
            async with asyncio.timeout(self._seconds):
                await self._judged(address)
        except TimeoutError:
            raise DeliveryFailedError(WebhookProblem.NAME_NOT_FOUND) from None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Post; raise DeliveryFailedError unless the answer is 2xx. Takes ten seconds at most, all in all."""
        try:
            address = WebhookAddress.parse(url, plain=self._allow_private)
        except BadUserInputError:
            raise DeliveryFailedError(WebhookProblem.ADDRESS_NOT_ALLOWED) from None
        try:
            async with asyncio.timeout(self._seconds):
                _judge(await self._post(address, headers, body))
        except TimeoutError:
            raise DeliveryFailedError(WebhookProblem.TIMED_OUT) from None

    async def _judged(self, address: WebhookAddress) -> Sequence[str]:
        """Return where the host is. One address that is not public is enough to refuse all."""
        try:
            found = await self._resolve(address.host, address.port)
        except (OSError, UnicodeError):
            found = ()
        if not found:
            raise DeliveryFailedError(WebhookProblem.NAME_NOT_FOUND)
        if not self._allow_private and not all(is_public(one) for one in found):
            raise DeliveryFailedError(WebhookProblem.ADDRESS_NOT_ALLOWED)
        return found[:_ADDRESSES_AT_MOST]

    async def _post(self, address: WebhookAddress, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        problem = WebhookProblem.NOT_CONNECTED
        for ip in await self._judged(address):
            try:
                return await self._post_to(ip, address, headers, body)
            except httpx.ConnectTimeout:
                problem = WebhookProblem.TIMED_OUT
            except httpx.ConnectError as error:
                if _is_about_certificates(error):
                    raise DeliveryFailedError(WebhookProblem.CERTIFICATE_REFUSED) from None
            except httpx.TimeoutException:
                raise DeliveryFailedError(WebhookProblem.TIMED_OUT) from None
            except (httpx.TransportError, ssl.SSLError):  # the latter after the handshake
                raise DeliveryFailedError(WebhookProblem.NOT_HTTP) from None
        raise DeliveryFailedError(problem)

    async def _post_to(
        self, ip: str, address: WebhookAddress, headers: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        limits = {"connect": _CONNECT_SECONDS, "read": None, "write": None, "pool": None}
        request = httpx.Request(
            "POST",
            httpx.URL(scheme=address.scheme, host=ip, port=address.port, raw_path=address.target.encode()),
            headers={"host": address.authority, "connection": "close", **headers},
            content=body,
            extensions={"sni_hostname": address.host, "timeout": limits},
        )
        # The bare transport: a client would follow cookies and write the address into the log.
        async with httpx.AsyncHTTPTransport(
            verify=self._tls, trust_env=False, limits=_FRESH_CONNECTIONS
        ) as transport:
            response = await transport.handle_async_request(request)
            await response.aclose()
            return response


def _judge(response: httpx.Response) -> None:
    status = response.status_code
    wish = response.headers.get("retry-after") if status in {_TOO_MANY, _UNAVAILABLE} else None
    if status == _GONE:
        raise DeliveryFailedError(WebhookProblem.GONE)
    if status == _TOO_MANY:
        raise DeliveryFailedError(WebhookProblem.TOO_MANY_REQUESTS, wish)
    problem = _KINDS.get(status // 100, WebhookProblem.FAILED)
    if problem is not None:
        raise DeliveryFailedError(problem, wish)


def _is_about_certificates(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
