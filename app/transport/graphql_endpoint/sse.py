"""Server-sent events, after the protocol of graphql-sse: one operation a request ("distinct connections")."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from graphql import OperationType
from starlette.responses import Response

from app.domain.errors import UnauthenticatedError, UnavailableError
from app.feed.outlet import Outlet
from app.transport.graphql_endpoint.connections import Close
from app.transport.graphql_endpoint.frames import event_chunk, event_text
from app.transport.graphql_endpoint.line import LINE
from graphql_schema.errors import RequestFailedError, format_exception, format_hub_error
from graphql_schema.execution.operations import encode_errors

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from app.domain.access import Principal
    from app.transport.graphql_endpoint.line import SocketLine
    from app.transport.graphql_endpoint.parts import Edge
    from graphql_schema.execution.documents import Prepared

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}
_COMPLETE = b"event: complete\ndata: \n\n"
_GONE = Close(None)
_STALLED = Close(None, "reads nothing")
_FINISHED = Close(1000)
_EXPIRED = Close(4403, "token expired")
_FORBIDDEN = Close(4403, "Forbidden")


class EventStream(Response):
    """The response to one operation as a stream of events; it was admitted, and releases itself."""

    def __init__(
        self,
        edge: Edge,
        principal: Principal,
        prepared: Prepared,
        variables: dict[str, object] | None,
        context: object,
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._edge = edge
        self._principal = principal
        self._prepared = prepared
        self._variables = variables
        self._context = context
        self._ended: asyncio.Future[Close] = asyncio.get_running_loop().create_future()

    def end(self, close: Close) -> None:
        """Ask the stream to end; the first to ask decides how."""
        if not self._ended.done():
            self._ended.set_result(close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the operation ends, the client leaves, or its right to listen does."""
        line: SocketLine = scope["extensions"][LINE]
        line.keep_little()
        tasks: list[asyncio.Task[None]] = []
        expiry = asyncio.get_running_loop().call_later(
            min(self._principal.expires_at - time.time(), 10_000_000), self.end, _EXPIRED
        )
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            tasks = [asyncio.create_task(work) for work in (self._run(send, line), self._listen(receive))]
            self._edge.rounds_of_streams.add(self, self._principal, line)
            close = await self._ended
        finally:
            expiry.cancel()
            self._edge.rounds_of_streams.remove(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._edge.connections.release(self)
        if close is _STALLED:
            await _cut(line, receive)
            return
        last = b""
        if close in {_EXPIRED, _FORBIDDEN}:
            last = event_text(encode_errors([format_hub_error(UnauthenticatedError())])) + _COMPLETE
        elif close not in {_GONE, _FINISHED}:
            last = event_text(encode_errors([format_hub_error(UnavailableError())])) + _COMPLETE
        try:
            async with asyncio.timeout(self._edge.limits.close_seconds):
                await send({"type": "http.response.body", "body": last, "more_body": False})
        except (OSError, TimeoutError):
            await _cut(line, receive)  # the server would wait for buffers that may never empty

    def look(self, *, is_stalled: bool, is_valid: bool) -> None:
        """End the stream if it is over."""
        if is_stalled:
            self.end(_STALLED)
        elif not is_valid:
            self.end(_FORBIDDEN)

    async def _run(self, send: Send, line: SocketLine) -> None:
        try:
            await self._send_events(send, line)
            await _write(send, _COMPLETE)
        except RequestFailedError as failure:
            await _write(send, event_text(encode_errors(failure.errors)) + _COMPLETE)
        except OSError:
            self.end(_GONE)
        except Exception as error:  # noqa: BLE001 - masked and logged
            await _write(send, event_text(encode_errors([format_exception(error)])) + _COMPLETE)
        self.end(_FINISHED)

    async def _send_events(self, send: Send, line: SocketLine) -> None:
        operations = self._edge.operations
        if self._prepared.kind is not OperationType.SUBSCRIPTION:
            cost = operations.price(self._prepared, self._variables)
            answer = await operations.execute(self._prepared, self._variables, self._context)
            await _write(send, event_text(operations.with_cost(answer, cost)))
            return
        outlet = Outlet(line, "stream", event_chunk)
        stream = operations.subscribe(self._prepared, self._variables, self._context, outlet)
        async with aclosing(stream) as events:
            async for event in events:
                await _write(send, event_text(event.payload, event.number))

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end(_GONE)


async def _write(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _cut(line: SocketLine, receive: Receive) -> None:
    line.abort()
    await receive()  # the server has noticed, and does not miss the end of the answer
