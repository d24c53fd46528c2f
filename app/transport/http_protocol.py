"""uvicorn's HTTP, with an orderly end for streams of events, and the certificates of callers.

uvicorn waits for open answers before it tells the application that it ends, and a stream of events never
ends by itself: so the first connection that is told tells the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.transport.client_certificate import CERTIFICATE, ShownCertificate, shown_on

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

END_STREAMS = "end_streams"  # the name under which the application leaves the way to do so in its state


class HubHttpProtocol(HttpToolsProtocol):
    """One HTTP connection of uvicorn."""

    _certificate: ShownCertificate | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, and the certificate that was shown on it."""
        super().connection_made(transport)
        self._certificate = shown_on(transport)

    def on_message_begin(self) -> None:
        """Begin a request, with the certificate of its connection in the scope."""
        super().on_message_begin()
        if self._certificate is not None:
            cast("dict[str, object]", self.scope)[CERTIFICATE] = self._certificate

    def shutdown(self) -> None:
        """Let the application end its streams, then end as uvicorn does."""
        end_streams: Callable[[], None] | None = getattr(getattr(self.app, "state", None), END_STREAMS, None)
        if end_streams is not None:
            end_streams()
        super().shutdown()
