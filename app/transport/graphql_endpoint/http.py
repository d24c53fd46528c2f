"""GraphQL over HTTP, after the draft of that specification; POST only, since addresses end up in logs.

On bare ASGI: Starlette's request, response, route and middleware cost more than a look-up does. A header that
is given twice counts as it was given first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from graphql import OperationType

from app.domain.errors import (
    BadUserInputError,
    ForbiddenError,
    HubError,
    OperationNotAllowedError,
    RateLimitedError,
    UnavailableError,
)
from app.domain.rates import RateKind
from app.request_log import identify
from app.transport.graphql_endpoint.negotiation import Answer, choose, is_json
from app.transport.graphql_endpoint.parts import GraphQLRequest
from app.transport.graphql_endpoint.sse import EventStream
from app.transport.guard import OversizedError, read_object
from graphql_schema.errors import RequestFailedError, format_exception, format_hub_error
from graphql_schema.execution.operations import encode_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import GraphQLFormattedError
    from starlette.types import Receive, Scope

    from app.domain.access import Principal
    from app.transport.graphql_endpoint.parts import Edge

_OK = 200
_BAD_REQUEST = 400
_NOT_POST = 405
# Of requests of which nothing ran, in any media type. All else is 400, or 200 in plain JSON.
_STATUS = {"UNAUTHENTICATED": 401, "RATE_LIMITED": 429, "INTERNAL": 500, "UNAVAILABLE": 503}
_RETRY_SECONDS = 1


class Reply(NamedTuple):
    """An answer that is known as a whole; `headers` are those beside content type and length."""

    status: int
    media_type: Answer
    content: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Request(NamedTuple):
    """A request as ASGI hands it over, with its headers by their names in small letters."""

    scope: Scope
    headers: Mapping[bytes, bytes]
    receive: Receive

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> Request:
        """Return the request."""
        return cls(scope, dict(reversed(scope["headers"])), receive)

    def header(self, name: bytes) -> str | None:
        """Return the value of a header."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class _HTTPError(Exception):
    """A refusal with a status of its own."""

    def __init__(self, status: int, error: HubError) -> None:
        super().__init__()
        self.status = status
        self.error = error


class _GoneError(Exception):
    """The caller has left before it had said all."""


async def answer(edge: Edge, request: Request) -> Reply | EventStream:
    """Return the answer to a request; no exception gets past this function."""
    media_type = choose(request.header(b"accept"))
    try:
        principal = await _admit(edge, request, media_type)
        asked = await _read(edge, request)
        return await _run(edge, request, principal, asked, media_type or Answer.JSON)
    except _HTTPError as refusal:
        return _refuse(media_type, [format_hub_error(refusal.error)], refusal.status)
    except RequestFailedError as failure:
        return _refuse(media_type, failure.errors)
    except HubError as error:
        return _refuse(media_type, [format_hub_error(error)])
    except _GoneError:
        return Reply(_BAD_REQUEST, Answer.JSON, b"")  # nobody reads it
    except Exception as error:  # noqa: BLE001 - masked and logged
        return _refuse(media_type, [format_exception(error)])


async def _admit(edge: Edge, request: Request, media_type: Answer | None) -> Principal:
    """Return the caller of a request that may be read on."""
    if request.scope["method"] != "POST":
        raise _HTTPError(_NOT_POST, OperationNotAllowedError("GraphQL is spoken by POST here."))
    origin = request.header(b"origin")
    if origin is not None and not edge.trusts_origin(origin, request.header(b"host")):
        raise _HTTPError(403, ForbiddenError("This origin is not allowed."))
    principal = await edge.authenticator.authenticate(request.header(b"authorization"), request.scope)
    identify(principal.client_id)
    edge.spend(principal, RateKind.REQUESTS)
    if media_type is None:
        raise _HTTPError(406, BadUserInputError("Accept", f"The answer can be {', '.join(Answer)}."))
    return principal


async def _read(edge: Edge, request: Request) -> GraphQLRequest:
    """Return what the body asks for."""
    if not is_json(request.header(b"content-type")):
        raise _HTTPError(
            415, BadUserInputError("Content-Type", "The body must be application/json in UTF-8.")
        )
    if request.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _HTTPError(415, BadUserInputError("Content-Encoding", "The body must not be compressed."))
    body = await _read_body(request, edge.limits.body_bytes)
    try:
        return GraphQLRequest.read(read_object(body, max_bytes=edge.limits.body_bytes))
    except BadUserInputError as error:
        raise _HTTPError(_BAD_REQUEST, error) from None


async def _run(
    edge: Edge, request: Request, principal: Principal, asked: GraphQLRequest, media_type: Answer
) -> Reply | EventStream:
    prepared = await edge.prepare(principal, asked)
    cost = edge.operations.price(prepared, asked.variables)
    edge.spend(principal, RateKind.COST, cost)
    if media_type is Answer.EVENTS:
        context = edge.make_context(principal, _last_event_id(request))
        stream = EventStream(edge, principal, prepared, asked.variables, context)
        if not edge.connections.admit(stream):
            raise UnavailableError
        if not edge.connections.assign(stream, principal.client_id):
            edge.connections.release(stream)
            raise RateLimitedError(edge.limits.ping_seconds)
        return stream
    if prepared.kind is OperationType.SUBSCRIPTION:
        error = OperationNotAllowedError("Subscribe by websocket, or with Accept: text/event-stream.")
        raise RequestFailedError([format_hub_error(error)])
    content = await edge.operations.execute(prepared, asked.variables, edge.make_context(principal))
    return Reply(_OK, media_type, edge.operations.with_cost(content, cost))


async def _read_body(request: Request, limit: int) -> bytes:
    """Return the body; raise once it turns out too long, whatever its announced length was."""
    announced = request.headers.get(b"content-length", b"")
    if announced.isdigit() and (len(announced) > len(str(limit)) or int(announced) > limit):
        raise _too_large(limit)
    chunks: list[bytes] = []
    length = 0
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise _GoneError
        chunk: bytes = message.get("body", b"")
        length += len(chunk)
        if length > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> _HTTPError:
    return _HTTPError(413, OversizedError(f"The body may have {limit} bytes."))


def _last_event_id(request: Request) -> int | None:
    value = request.header(b"last-event-id")
    if not value:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= 18):  # noqa: PLR2004 - fits 64 bits
        message = "Last-Event-ID is the number of a change."
        raise _HTTPError(_BAD_REQUEST, BadUserInputError("Last-Event-ID", message))
    return int(value)


def _refuse(
    media_type: Answer | None, errors: list[GraphQLFormattedError], status: int | None = None
) -> Reply:
    """Answer a request of which nothing ran.

    Without a status of its own a well-formed request gets 400, or 200 in plain JSON, as that always was.
    """
    extensions = errors[0].get("extensions", {})
    code = str(extensions.get("code"))
    usual = _BAD_REQUEST if media_type is Answer.RESPONSE else _OK
    status = status or _STATUS.get(code, usual)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if status == _NOT_POST:
        headers += ((b"allow", b"POST"),)
    if code == "UNAUTHENTICATED":
        headers += ((b"www-authenticate", b"Bearer"),)
    if code in {"RATE_LIMITED", "UNAVAILABLE"}:
        headers += ((b"retry-after", b"%d" % math.ceil(extensions.get("retryAfter", _RETRY_SECONDS))),)
    answered = Answer.RESPONSE if media_type is Answer.RESPONSE else Answer.JSON
    return Reply(status, answered, encode_errors(errors), headers)
