"""The protocol graphql-transport-ws, for subscriptions only.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVarTuple

from graphql import OperationType
from starlette.websockets import WebSocketDisconnect

from app.domain.errors import (
    BadUserInputError,
    HubError,
    LimitExceededError,
    OperationNotAllowedError,
    RateLimitedError,
    UnavailableError,
)
from app.domain.rates import RateKind
from app.feed.outlet import Outlet
from app.request_log import identify
from app.transport.graphql_endpoint.connections import FULL, Close
from app.transport.graphql_endpoint.frames import encode_message, head_of, next_frame, next_message
from app.transport.graphql_endpoint.line import LINE
from app.transport.graphql_endpoint.parts import GraphQLRequest
from app.transport.guard import MalformedError, OversizedError, read_object
from graphql_schema.errors import RequestFailedError, format_exception, format_hub_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphql import GraphQLFormattedError
    from starlette.websockets import WebSocket

    from app.domain.access import Principal
    from app.transport.graphql_endpoint.line import SocketLine
    from app.transport.graphql_endpoint.parts import Edge

_Arguments = TypeVarTuple("_Arguments")

SUBPROTOCOL = "graphql-transport-ws"
_GONE = Close(None)
_STALLED = Close(None, "reads nothing")
_MALFORMED = Close(4400, "Malformed message")
_UNAUTHORIZED = Close(4401, "Unauthorized")
_FORBIDDEN = Close(4403, "Forbidden")
_EXPIRED = Close(4403, "token expired")
_NO_PROTOCOL = Close(4406, "Subprotocol not acceptable")
_INIT_TIMEOUT = Close(4408, "Connection initialisation timeout")
_DUPLICATE = Close(4409, "Subscriber for this id already exists")
_INIT_AGAIN = Close(4429, "Too many initialisation requests")
_TOO_BIG = Close(1009, "Message too big")
_INTERNAL = Close(FULL, "Internal error, try again shortly")  # at 1011 standard clients give up for good
_FULL = Close(FULL, "The server is full, try again later")
_CLIENT_FULL = Close(FULL, "Too many connections of this client")
_UNAVAILABLE = Close(FULL, "Not available now, try again shortly")
_SILENT = Close(1001, "No answer to pings")
_LONGEST_ID = 128
_MOST_BEFORE_INIT = 20  # messages of somebody whom nobody knows yet
_FAR = 10_000_000.0  # seconds; loops refuse timers that are set for eternity


class WebSocketConnection:
    """One websocket, from its handshake to its end.

    Whoever notices that the connection must end calls `end`, and the first one decides how.
    """

    def __init__(self, edge: Edge, websocket: WebSocket) -> None:
        self._edge = edge
        self._limits = edge.limits
        self._websocket = websocket
        self._line: SocketLine = websocket.scope["extensions"][LINE]
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Close] = self._loop.create_future()
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._at_work: set[asyncio.Task[None]] = set()  # and those that still tell of their end
        self._due = 0  # `pong` to our pings, `complete` to subscriptions: they cost the client nothing
        self._heard_at = self._pinged_at = self._loop.time()

    def end(self, close: Close) -> None:
        """Ask the connection to end; returns at once."""
        if not self._ended.done():
            self._ended.set_result(close)

    async def serve(self) -> None:
        """Run the connection until it ends."""
        websocket = self._websocket
        origin = websocket.headers.get("origin")
        if origin is not None and not self._edge.trusts_origin(origin, websocket.headers.get("host")):
            await websocket.close()  # before the handshake: HTTP 403
            return
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            await websocket.accept()
            await self._close(_NO_PROTOCOL)
            return
        if not self._edge.connections.admit(self):
            await websocket.accept(subprotocol=SUBPROTOCOL)
            await self._close(_FULL)
            return
        reader: asyncio.Task[None] | None = None
        try:
            await websocket.accept(subprotocol=SUBPROTOCOL)
            reader = asyncio.create_task(self._watched(self._talk))
            close = await self._ended
        finally:
            await self._stop([*self._at_work, *([] if reader is None else [reader])])
            self._edge.connections.release(self)
        await self._close(close)

    async def _talk(self) -> None:
        principal = await self._greet()
        if principal is None:
            return
        timer = self._loop.call_later(
            max(0, min(principal.expires_at - time.time(), _FAR)), self.end, _EXPIRED
        )
        self._edge.rounds.add(self, principal, self._line)
        try:
            while message := await self._receive():
                await self._handle(message, principal)
        finally:
            timer.cancel()
            self._edge.rounds.remove(self)

    # The beginning

    async def _greet(self) -> Principal | None:
        """Return the caller once it is known and told so; None when the connection ends instead."""
        deadline = asyncio.timeout(self._limits.init_seconds)
        try:
            async with deadline:
                message = await self._await_init()
                if message is None:
                    return None
                principal = await self._authenticate(message.get("payload"))
                if principal is None:
                    return None
                payload = await self._greeting(principal)
        except TimeoutError:
            self.end(_INIT_TIMEOUT if deadline.expired() else _INTERNAL)
            return None
        await self._send(encode_message("connection_ack", payload))
        return principal

    async def _await_init(self) -> dict[str, object] | None:
        for _ in range(_MOST_BEFORE_INIT):
            message = await self._receive()
            if message is None:
                return None
            match message["type"]:
                case "connection_init":
                    return message
                case "ping":
                    await self._send(encode_message("pong", message.get("payload")))
                case "pong":
                    pass
                case "subscribe":
                    self.end(_UNAUTHORIZED)
                    return None
                case _:
                    self.end(_MALFORMED)
                    return None
        self.end(_UNAUTHORIZED)
        return None

    async def _authenticate(self, payload: object) -> Principal | None:
        header = self._websocket.headers.get("authorization")
        if isinstance(payload, dict) and "authorization" in payload:
            header = payload["authorization"]
            if not isinstance(header, str):
                self.end(_FORBIDDEN)
                return None
        try:
            principal = await self._edge.authenticator.authenticate(header, self._websocket.scope)
        except HubError as error:
            passing = isinstance(error, UnavailableError | RateLimitedError)
            self.end(_UNAVAILABLE if passing else _FORBIDDEN)
            return None
        identify(principal.client_id)
        if not self._edge.connections.assign(self, principal.client_id):
            self.end(_CLIENT_FULL)
            return None
        return principal

    async def _greeting(self, principal: Principal) -> object:
        if self._edge.greeting is None:
            return None
        with suppress(HubError):  # without a database there is no position; the connection may live on
            return await self._edge.greeting(principal)
        return None

    # What the client says

    async def _receive(self) -> dict[str, object] | None:
        """Return the next message, with a text `type` and a payload that is an object if there is one.

        None once the connection ends: the client left, or what it sent is no message.
        """
        frame = await self._websocket.receive()
        if frame["type"] == "websocket.disconnect":
            self.end(_GONE)
            return None
        self._heard_at = self._loop.time()
        self._line.late = False
        text = frame.get("text")
        if not isinstance(text, str):
            self.end(_MALFORMED)
            return None
        try:
            message = read_object(text.encode(), max_bytes=self._limits.frame_bytes)
        except (OversizedError, MalformedError, UnicodeEncodeError) as error:
            self.end(_TOO_BIG if isinstance(error, OversizedError) else _MALFORMED)
            return None
        payload = message.get("payload")
        if not isinstance(message.get("type"), str) or not (payload is None or isinstance(payload, dict)):
            self.end(_MALFORMED)
            return None
        return message

    async def _handle(self, message: dict[str, object], principal: Principal) -> None:
        kind = message["type"]
        if kind == "subscribe":
            self._due += 1
            await self._subscribe(message, principal)  # which counts for itself
            return
        if kind in {"complete", "pong"} and self._due:
            self._due -= 1
        else:
            try:
                self._edge.spend(principal, RateKind.REQUESTS)
            except RateLimitedError:
                self.end(_UNAVAILABLE)
                return
        match kind:
            case "complete":
                await self._complete(message.get("id"))
            case "ping":
                await self._send(encode_message("pong", message.get("payload")))
            case "pong":
                pass
            case "connection_init":
                self.end(_INIT_AGAIN)
            case _:
                self.end(_MALFORMED)

    async def _subscribe(self, message: dict[str, object], principal: Principal) -> None:
        operation_id = message.get("id")
        payload = message.get("payload")
        if not isinstance(operation_id, str) or not 0 < len(operation_id) <= _LONGEST_ID:
            self.end(_MALFORMED)
            return
        if operation_id in self._subscriptions:
            self.end(_DUPLICATE)
            return
        try:
            request = GraphQLRequest.read(payload if isinstance(payload, dict) else {})
        except BadUserInputError:
            self.end(_MALFORMED)
            return
        if len(self._at_work) >= self._limits.subscriptions_per_connection:
            error = LimitExceededError("This connection has as many subscriptions as it may.")
            await self._send(encode_message("error", [format_hub_error(error)], operation_id))
            return
        task = asyncio.create_task(self._watched(self._run, operation_id, request, principal))
        self._subscriptions[operation_id] = task
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _complete(self, operation_id: object) -> None:
        if not isinstance(operation_id, str):
            self.end(_MALFORMED)
            return
        task = self._subscriptions.pop(operation_id, None)
        if task is not None:
            await self._stop([task])

    # What the server says

    async def _run(self, operation_id: str, request: GraphQLRequest, principal: Principal) -> None:
        head = head_of(operation_id)
        errors: list[GraphQLFormattedError] | None = None
        try:
            self._edge.spend(principal, RateKind.REQUESTS)
            prepared = await self._edge.prepare(principal, request)
            if prepared.kind is not OperationType.SUBSCRIPTION:
                message = "Only subscriptions go over a websocket; send queries and mutations by POST."
                error = OperationNotAllowedError(message)
                raise RequestFailedError([format_hub_error(error)])  # noqa: TRY301 - told in one place
            cost = self._edge.operations.price(prepared, request.variables)
            self._edge.spend(principal, RateKind.COST, cost)
            context = self._edge.make_context(principal)
            outlet = Outlet(self._line, head, partial(next_frame, head))
            events = self._edge.operations.subscribe(prepared, request.variables, context, outlet)
            async with aclosing(events):
                async for event in events:
                    await self._send(next_message(head, event))
        except RequestFailedError as failure:
            errors = failure.errors
        except (BadUserInputError, OperationNotAllowedError, RateLimitedError, UnavailableError) as error:
            errors = [format_hub_error(error)]
        # The id is free before the client hears of the end, since it may use it again at once.
        self._subscriptions.pop(operation_id, None)
        kind = "complete" if errors is None else "error"
        await self._send(encode_message(kind, errors, operation_id))

    async def _send(self, message: bytes) -> None:
        """Send a text frame; waits while the peer's buffers are full."""
        await self._websocket.send({"type": "websocket.send", "text": message.decode()})

    def look(self, *, is_stalled: bool, is_valid: bool) -> None:
        """End what is over, before the next ping; who left the last one unanswered is served after others."""
        now = self._loop.time()
        if is_stalled:
            self.end(_STALLED)
        elif now - self._heard_at > self._limits.silence_seconds - self._limits.ping_seconds:
            self.end(_SILENT)  # the next look would be too late
        elif not is_valid:
            self.end(_FORBIDDEN)
        self._line.late = self._heard_at < self._pinged_at
        self._pinged_at = now
        self._due += 1

    # The end

    async def _watched(self, work: Callable[[*_Arguments], Awaitable[None]], *arguments: *_Arguments) -> None:
        """Run a part of the connection; what it did not expect ends the connection and is logged."""
        try:
            await work(*arguments)
        except WebSocketDisconnect:
            self.end(_GONE)
        except Exception as error:  # noqa: BLE001 - logged behind an error id
            format_exception(error)
            self.end(_INTERNAL)

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self, close: Close) -> None:
        """Send the close frame; a peer that does not take it is cut off."""
        if close is _GONE:
            return
        if close.code is not None:
            with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
                async with asyncio.timeout(self._limits.close_seconds):
                    await self._websocket.close(close.code, close.reason)
                    return
        self._line.abort()
