"""uvicorn's websockets, made fit for peers that stop reading; `ws=HubProtocol` in its configuration.

uvicorn's own ping drops nobody who stopped reading: `transport.close()` waits for buffers that never empty.
So the application gets a way to cut the connection, buffers are small, and frames are never compressed
(memory, bombs). And it gets a way to write frames that it has made itself, since one that goes to a thousand
connections is best made once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.transport.client_certificate import CERTIFICATE, shown_on
from app.transport.graphql_endpoint.line import LINE
from app.transport.http_protocol import end_streams

if TYPE_CHECKING:
    import asyncio

    from websockets.http11 import Request

_WRITE_BUFFER = 32_768
_BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_SHUTDOWN_SECONDS = 3
# uvicorn writes the whole address of a handshake at level INFO, query string included.
_QUIET = logging.getLogger("uvicorn.error.websocket")
_QUIET.setLevel(logging.WARNING)


class HubProtocol(WebSocketsSansIOProtocol):
    """One websocket connection of uvicorn; the application finds it in its scope, as a `Line`."""

    late = False
    full_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection with a small write buffer: what is behind is better kept in the feed."""
        self.logger = _QUIET
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self.conn.available_extensions = []

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse a handshake that cannot be read: uvicorn would leave its connection open."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(_BAD_HANDSHAKE)
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        """Start the application, with this connection and its certificate in the scope."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions = cast("dict[str, object]", self.scope["extensions"])
            extensions[LINE] = self
            if (certificate := shown_on(self.transport)) is not None:
                cast("dict[str, object]", self.scope)[CERTIFICATE] = certificate

    def write(self, frame: bytes) -> bool:
        """Write a whole frame, unless the peer is behind or the connection about to end."""
        if not self.writable.is_set() or self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def pause_writing(self) -> None:
        """Note since when the peer takes no more."""
        self.full_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it does again."""
        self.full_since = None
        super().resume_writing()

    def keepalive_timeout(self) -> None:
        """Cut a peer that did not answer uvicorn's ping: it would not take a close frame either."""
        super().keepalive_timeout()
        self.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Let a peer that does not answer the close frame be cut, not waited for."""
        super().on_task_complete(task)
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.abort)

    def shutdown(self) -> None:
        """Let the application say 1012 and why; who does not take it is cut.

        uvicorn's own close frame has no reason, and would be the first.
        """
        if self.close_sent or not self.handshake_complete or not end_streams(self.app):
            super().shutdown()
        self.loop.call_later(_SHUTDOWN_SECONDS, self.abort)

    def abort(self) -> None:
        """Cut the connection without a word."""
        self.transport.abort()
