"""uvicorn's HTTP, with an orderly end for streams of events, and the certificates of callers.

uvicorn waits for open answers before it tells the application that it ends, and a stream of events never
ends by itself: so the first connection that is told tells the application.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.transport.client_certificate import CERTIFICATE, ShownCertificate, shown_on
from app.transport.exchange import WHOLE, Exchange
from app.transport.graphql_endpoint.line import LINE
from app.transport.surroundings import PATH
from app.transport.unsent import keep_unsent_small

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_RAW_PATH = PATH.encode()
END_STREAMS = "end_streams"  # the name under which the application leaves the way to do so in its state


class HubHttpProtocol(HttpToolsProtocol):
    """One HTTP connection of uvicorn."""

    late = False
    full_since: float | None = None
    _certificate: ShownCertificate | None = None
    _at_work: RequestResponseCycle | None = None  # `cycle` is the last request, which may wait for its turn
    _is_free = True  # nothing was being answered when the request began

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, and the certificate that was shown on it."""
        super().connection_made(transport)
        self._certificate = shown_on(transport)

    def on_message_begin(self) -> None:
        """Begin a request, with this connection and its certificate in the scope."""
        super().on_message_begin()
        self._is_free = self._at_work is None or self._at_work.response_complete
        scope = cast("dict[str, object]", self.scope)
        scope["extensions"] = {LINE: self}
        if self._certificate is not None:
            scope[CERTIFICATE] = self._certificate

    def on_headers_complete(self) -> None:
        """Begin to answer; what nearly every request asks for takes whole answers.

        Of uvicorn's settings those that the hub never makes are not looked at there: a root path, a limit of
        concurrency, a log of accesses.
        """
        parser = self.parser
        if self.url != _RAW_PATH or parser.get_method() != b"POST" or parser.should_upgrade():
            super().on_headers_complete()
            return
        version = parser.get_http_version()
        scope = cast("dict[str, Any]", self.scope)
        scope.update(method="POST", http_version=version, path=PATH, raw_path=_RAW_PATH, query_string=b"")
        scope["extensions"][WHOLE] = {}
        before = cast("RequestResponseCycle | None", self.cycle)
        self.cycle = Exchange(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            version != "1.0" and parser.should_keep_alive(),
            self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # it waits until those before it are answered
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _should_upgrade(self) -> bool:
        # A websocket takes the connection over: what is being answered would write into it, and a stream of
        # events would never be told that its client has left. Nor would the websocket be told that buffers
        # are full, where they are already: of an answer that the client does not read.
        return self._is_free and not self.flow.write_paused and super()._should_upgrade()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._at_work = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the present answer, too: uvicorn tells the last request alone."""
        cycle = self._at_work
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def write(self, frame: bytes) -> bool:
        """Write a whole chunk of the present answer, unless the client is behind or the answer at its end."""
        cycle = self._at_work
        if (
            cycle is None
            or self.flow.write_paused
            or cycle.response_complete
            or cycle.disconnected
            or self.transport.is_closing()
        ):
            return False
        self.transport.write(frame)
        return True

    def keep_little(self) -> None:
        """Let little wait for a client that does not read."""
        keep_unsent_small(self.transport)

    def abort(self) -> None:
        """Cut the connection without a word."""
        self.transport.abort()

    def pause_writing(self) -> None:
        """Note since when the client takes no more."""
        self.full_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it does again."""
        self.full_since = None
        super().resume_writing()

    def shutdown(self) -> None:
        """Let the application end its streams, then end as uvicorn does."""
        end_streams(self.app)
        super().shutdown()


def end_streams(app: object) -> bool:
    """Let an application end its streams and websockets; tell whether it has a way to do so."""
    way: Callable[[], None] | None = getattr(getattr(app, "state", None), END_STREAMS, None)
    if way is not None:
        way()
    return way is not None
