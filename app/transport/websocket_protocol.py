"""uvicorn's websockets, made fit for peers that stop reading; `ws=HubProtocol` in its configuration.

uvicorn's own ping drops nobody who stopped reading: `transport.close()` waits for buffers that never empty.
So the application gets a way to cut the connection, buffers are small, and frames are never compressed
(memory, bombs).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.transport.client_certificate import CERTIFICATE, shown_on
from app.transport.graphql_endpoint.websocket import ABORT

if TYPE_CHECKING:
    import asyncio

    from websockets.http11 import Request

_WRITE_BUFFER = 32_768
_SHUTDOWN_SECONDS = 3
# uvicorn writes the whole address of a handshake at level INFO, query string included.
_QUIET = logging.getLogger("uvicorn.error.websocket")
_QUIET.setLevel(logging.WARNING)


class HubProtocol(WebSocketsSansIOProtocol):
    """One websocket connection of uvicorn, which the application can cut."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection with a small write buffer: what is behind is better kept in the feed."""
        self.logger = _QUIET
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self.conn.available_extensions = []

    def handle_connect(self, event: Request) -> None:
        """Start the application, with the way to cut the connection and its certificate in the scope."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions = cast("dict[str, object]", self.scope["extensions"])
            extensions[ABORT] = self._abort
            if (certificate := shown_on(self.transport)) is not None:
                cast("dict[str, object]", self.scope)[CERTIFICATE] = certificate

    def keepalive_timeout(self) -> None:
        """Cut a peer that did not answer uvicorn's ping: it would not take a close frame either."""
        super().keepalive_timeout()
        self._abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Let a peer that does not answer the close frame be cut, not waited for."""
        super().on_task_complete(task)
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self._abort)

    def shutdown(self) -> None:
        """Say 1012 at the end of the server; who does not take it is cut."""
        super().shutdown()
        self.loop.call_later(_SHUTDOWN_SECONDS, self._abort)

    def _abort(self) -> None:
        self.transport.abort()
