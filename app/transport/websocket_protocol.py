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
from app.transport.unsent import keep_unsent_small

if TYPE_CHECKING:
    import asyncio

    from websockets.frames import Frame
    from websockets.http11 import Request

_WRITE_BUFFER = 32_768
_BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_SHUTDOWN_SECONDS = 3
_MOST_FRAMES = 100  # pings, pongs and parts of messages in a second
_PIECE = 4096  # bytes: at most 682 frames
_MOST_WAITING = 250  # messages that came together
# uvicorn writes the whole address of a handshake at level INFO, query string included.
_QUIET = logging.getLogger("uvicorn.error.websocket")
_QUIET.setLevel(logging.WARNING)
# And a traceback for each text that is no UTF-8, for which the peer is told 1007.
_QUIET.addFilter(lambda line: line.exc_info is None or line.exc_info[0] is not UnicodeDecodeError)


class HubProtocol(WebSocketsSansIOProtocol):
    """One websocket connection of uvicorn; the application finds it in its scope, as a `Line`."""

    late = False
    full_since: float | None = None
    _counted = 0
    _counted_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection with small buffers: what is behind is better kept in the feed."""
        self.logger = _QUIET
        super().connection_made(transport)
        # uvicorn does so, too, but later: then nobody would be told if this limit is passed already.
        self.transport.set_protocol(self)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self.keep_little()
        self.conn.available_extensions = []

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse a handshake that cannot be read: uvicorn would leave its connection open.

        In pieces, since whatever is passed on is parsed to its last frame before anybody looks at the first.
        """
        for start in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + _PIECE])
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

    def handle_ping(self) -> None:
        """Answer, within reason: answers that are not taken would fill the memory."""
        if self._bears():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take a pong, within reason."""
        if self._bears():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a part of a message, within reason: an empty one counts nowhere else, and is kept."""
        if self._bears():
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Let a message wait for the application, within reason: ten thousand may come at once."""
        if self.queue.qsize() < _MOST_WAITING:
            super().send_receive_event_to_app()
        else:
            self.abort()

    def _bears(self) -> bool:
        """Count a frame that no message accounts for; cut who sends more of them than anybody needs."""
        now = self.loop.time()
        if now - self._counted_since >= 1:
            self._counted, self._counted_since = 0, now
        self._counted += 1
        if self._counted > _MOST_FRAMES:
            self.abort()
        return self._counted <= _MOST_FRAMES

    def write(self, frame: bytes) -> bool:
        """Write a whole frame, unless the peer is behind or the connection about to end."""
        if self.full_since is not None or self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def keep_little(self) -> None:
        """Let little wait for a client that does not read."""
        keep_unsent_small(self.transport)

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
