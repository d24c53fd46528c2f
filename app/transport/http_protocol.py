"""uvicorn's HTTP, with an orderly end for streams of events.

uvicorn waits for open answers before it tells the application that it ends, and a stream of events never
ends by itself: so the first connection that is told tells the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

END_STREAMS = "end_streams"  # the name under which the application leaves the way to do so in its state


class HubHttpProtocol(HttpToolsProtocol):
    """One HTTP connection of uvicorn."""

    def shutdown(self) -> None:
        """Let the application end its streams, then end as uvicorn does."""
        end_streams: Callable[[], None] | None = getattr(getattr(self.app, "state", None), END_STREAMS, None)
        if end_streams is not None:
            end_streams()
        super().shutdown()
