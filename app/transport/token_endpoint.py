"""`POST /oauth/token`, discovery (RFC 8414) and the public keys."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.domain.access import Scope
from app.domain.errors import RateLimitedError, UnavailableError
from app.domain.record import SecurityEvent
from app.services.client_keys import ASSERTION_ALGORITHMS
from app.services.security_log import REFUSALS
from app.transport.authorization_server import (
    AUTHENTICATION_METHOD,
    GRANT_TYPE,
    TokenRequest,
    TokenServer,
    refusal,
)
from app.transport.client_assertion import read_assertion
from app.transport.client_certificate import CertificateReader
from app.transport.strict_jwt import JwtError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.types import Scope as ConnectionScope

    from app.domain.vetting import VettingRule
    from app.services.clients import ClientService
    from app.services.key_files import KeySource
    from app.services.keys import SigningKeys
    from app.services.security_log import SecurityLog

log = structlog.get_logger(__name__)

TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address
JWKS_PATH = "/oauth/jwks"
METADATA_PATH = "/.well-known/oauth-authorization-server"

_LONGEST_BODY = 64 * 1024
_MOST_PARAMETERS = 20
_FORM = "application/x-www-form-urlencoded"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_PUBLIC = {"Cache-Control": "public, max-age=300"}


class _MalformedError(Exception):
    def __init__(self, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.description = description
        self.status = status


def resource_of(issuer: str) -> str:
    """Return what access tokens of this hub are for: their `aud`."""
    return f"{issuer}/graphql"


def token_routes(  # noqa: PLR0913 - what the routes are made of
    issuer: str,
    keys: KeySource[SigningKeys],
    clients: ClientService,
    *,
    token_seconds: int,
    security_log: SecurityLog | None = None,
    spend: Callable[[str, int], None] | None = None,
    certificates: CertificateReader | None = None,
    rule: VettingRule | None = None,
    clock: Callable[[], float] = time.time,
) -> list[Route]:
    """Return the routes of the authorization server. `issuer` has no slash at its end."""
    server = TokenServer(issuer, resource_of(issuer), keys, token_seconds, rule=rule, clock=clock)
    endpoint = _TokenEndpoint(
        server, clients, spend or _unlimited, security_log, certificates or CertificateReader()
    )
    metadata = _metadata(issuer)

    async def show_metadata(_: Request) -> Response:
        return JSONResponse(metadata, headers=_PUBLIC)

    async def show_jwks(_: Request) -> Response:
        jwks = keys.latest().public_jwks()
        return JSONResponse(jwks, headers=_PUBLIC, media_type="application/jwk-set+json")

    return [
        Route(TOKEN_PATH, endpoint.answer, methods=["POST"]),
        Route(METADATA_PATH, show_metadata, methods=["GET"]),
        Route(JWKS_PATH, show_jwks, methods=["GET"]),
    ]


def _metadata(issuer: str) -> dict[str, object]:
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}{TOKEN_PATH}",
        "jwks_uri": f"{issuer}{JWKS_PATH}",
        "token_endpoint_auth_methods_supported": [AUTHENTICATION_METHOD],
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "grant_types_supported": [GRANT_TYPE],
        "scopes_supported": [str(scope) for scope in Scope],
        "response_types_supported": [],
        "tls_client_certificate_bound_access_tokens": True,
    }


def _unlimited(_client_id: str, _amount: int) -> None:
    """Let everybody have as many tokens as it likes."""


class _TokenEndpoint:
    def __init__(
        self,
        server: TokenServer,
        clients: ClientService,
        spend: Callable[[str, int], None],
        security_log: SecurityLog | None,
        certificates: CertificateReader,
    ) -> None:
        self._server = server
        self._clients = clients
        self._spend = spend
        self._security_log = security_log
        self._certificates = certificates

    async def answer(self, request: Request) -> Response:
        try:
            parameters = await _parameters(request)
        except _MalformedError as error:
            _, body = refusal("invalid_request", error.description)
            return JSONResponse(body, error.status, _NO_STORE)
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            status, body = await self._judged(parameters, request.scope)
        except RateLimitedError as error:
            later = {"error": "temporarily_unavailable", "error_description": str(error)}
            return JSONResponse(later, 429, {**_NO_STORE, "Retry-After": str(math.ceil(error.retry_after))})
        except UnavailableError:
            unavailable = {"error": "temporarily_unavailable", "error_description": str(UnavailableError())}
            return JSONResponse(unavailable, 503, {**_NO_STORE, "Retry-After": "1"})
        return JSONResponse(body, status, _NO_STORE)

    async def _judged(
        self, parameters: Mapping[str, str], scope: ConnectionScope
    ) -> tuple[int, Mapping[str, object]]:
        asked = await self._fetched(parameters)
        asked.certificate = self._certificates.shown(scope)
        answer = self._server.answer(asked)
        status, body = answer.status, answer.body
        # The token is made before its assertion is recorded, and handed out only to who recorded it first.
        if answer.used is not None and asked.client is not None:
            # Only who has proved to be the client counts, and a replay proves nothing: nobody else can use up
            # what is its own. Where nothing is left the assertion is not used up, and may be shown again.
            self._spend(asked.client.client_id, 0)
            first = await self._clients.use_assertion(
                asked.client.client_id, answer.used.jti, answer.used.expires_at
            )
            if first:
                self._spend(asked.client.client_id, 1)
            else:
                status, body = refusal("invalid_client", "The assertion is refused: its jti has been used.")
        client_id = asked.client.client_id if asked.client is not None else None
        if "error" in body:
            reason = body["error_description"]
            log.info("token_refused", client_id=client_id, error=body["error"], reason=reason)
            REFUSALS.add(SecurityEvent.TOKEN_REFUSED, client_id, str(body["error"]))
        else:
            log.info("token_issued", client_id=client_id, scope=body.get("scope"))
            if self._security_log is not None and asked.client is not None:
                await self._security_log.record(
                    SecurityEvent.TOKEN_ISSUED,
                    actor=asked.client.client_id,
                    on_behalf_of=asked.client.oin,
                    detail=str(body.get("scope")),
                )
        return status, body

    async def _fetched(self, parameters: Mapping[str, str]) -> TokenRequest:
        try:
            assertion = read_assertion(parameters.get("client_assertion", ""))
        except JwtError:
            return TokenRequest(parameters, None, None)
        client_id = assertion.text("sub")
        if parameters.get("client_id", client_id) != client_id:
            return TokenRequest(parameters, None, None)
        return TokenRequest(parameters, assertion, await self._clients.find(client_id))


async def _parameters(request: Request) -> dict[str, str]:
    """Return the form; parameters without a value count as left out (RFC 6749, 3.2)."""
    media_type, _, options = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != _FORM or options.strip().lower() not in {"", "charset=utf-8"}:
        raise _MalformedError(f"The body must be {_FORM} in UTF-8.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise _MalformedError("The body must not be compressed.")
    if request.url.query:
        raise _MalformedError("Parameters belong into the body, never into the address.")
    if "authorization" in request.headers:
        raise _MalformedError(f"The only way to authenticate is {AUTHENTICATION_METHOD}.")
    try:
        pairs = parse_qsl(
            (await _body(request)).decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:
        raise _MalformedError("The body is not a form.") from None
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise _MalformedError("A parameter is repeated.")
    if "client_secret" in parameters:
        raise _MalformedError(f"The only way to authenticate is {AUTHENTICATION_METHOD}.")
    if not parameters.get("grant_type"):
        raise _MalformedError("The grant_type is missing.")
    return {name: value for name, value in parameters.items() if value}


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise _MalformedError("The body is too long.", 413)
    return bytes(body)
