"""What the server lets one do with a connection beside ASGI."""

from __future__ import annotations

from typing import Protocol

LINE = "koppelpunt.line"  # in the extensions of the scope: the `SocketLine`


class SocketLine(Protocol):
    """A connection of uvicorn; see `websocket_protocol.py` and `http_protocol.py`."""

    late: bool
    """Whether the client leaves pings unanswered; for who serves it to look at."""
    full_since: float | None
    """Since when (of the loop's clock) the client's buffers are full; None: they are not."""

    def write(self, frame: bytes) -> bool:
        """Write at once, or return False: the client is behind, or the connection ends."""
        ...

    def keep_little(self) -> None:
        """Let little wait for a client that does not read, since changes are going to be pushed."""
        ...

    def abort(self) -> None:
        """Cut the connection without a word."""
        ...
