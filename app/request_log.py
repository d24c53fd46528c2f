"""What is known of the request at hand, and its line in the log.

A hub writes one line `request` for each request. Through structlog's chain and the standard library's
logging such a line costs as much as all of HTTP. So where lines are JSON it is made here: the same members,
with the same masking, in one call of orjson. Lines are written in groups, at most 50 ms late, and always
before any other line of the log; a process that is killed loses the last group. Lines that cannot be
written are lost, too, and counted: whoever notes something must not fail for want of a log.
"""

from __future__ import annotations

import asyncio
import atexit
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import orjson
import structlog

from app.domain.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from structlog.typing import EventDict, WrappedLogger

_LOGGER = structlog.stdlib.get_logger("koppelpunt.access")
_LATEST_SECONDS = 0.05
# What several processes may write into one pipe without mixing their lines (PIPE_BUF of Linux).
_GROUP_BYTES = 4_096
_scrubbed = lru_cache(maxsize=1_024)(scrub)


@dataclass(slots=True)
class RequestFacts:
    """What every line about a request bears; `client_id` is known once the caller has proved who it is."""

    request_id: str
    trace_id: str | None = None
    client_id: str | None = None


# Of the request that the running task works for; None in the background.
REQUEST: ContextVar[RequestFacts | None] = ContextVar("koppelpunt_request", default=None)


def identify(client_id: str) -> None:
    """Note who is calling, for the lines to come."""
    facts = REQUEST.get()
    if facts is not None:
        facts.client_id = client_id


def merge_request(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Add what is known of the request to an event (a processor of structlog)."""
    facts = REQUEST.get()
    if facts is not None:
        for name in ("request_id", "trace_id", "client_id"):
            value = getattr(facts, name)
            if value is not None:
                event.setdefault(name, value)
    return event


def _forget(_lines: int) -> None:
    """Hear of lost lines and do nothing."""


class RequestLog:
    """Writes the line of each request that has ended."""

    def __init__(self) -> None:
        self._stream: TextIO | None = None
        self._silent = False
        self._lines: list[bytes] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._lost: Callable[[int], None] = _forget

    def configure(
        self, stream: TextIO | None, *, silent: bool, lost: Callable[[int], None] = _forget
    ) -> None:
        """Write JSON to `stream` (None: through structlog), or nothing at all; `lost` hears how many not."""
        self.flush()
        self._stream, self._silent, self._lost = stream, silent, lost

    def note(self, method: str, path: str, status: int, seconds: float, facts: RequestFacts) -> None:
        """Log a request; of a websocket `status` is its close code."""
        if self._silent:
            return
        line: dict[str, object] = {
            "method": method,
            "path": _scrubbed(path) if len(path) <= 256 else scrub(path),  # noqa: PLR2004 - a usual path
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
        }
        if facts.client_id is not None:
            line["client_id"] = _scrubbed(facts.client_id)
        if self._stream is None:
            _LOGGER.info("request", **line)
            return
        line["event"] = "request"
        line["request_id"] = facts.request_id
        if facts.trace_id is not None:
            line["trace_id"] = scrub(facts.trace_id)
        line["level"] = "info"
        line["timestamp"] = datetime.now(UTC)
        self._add(orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines and self._stream is not None:
            lines, self._lines, self._bytes = self._lines, [], 0
            try:
                self._stream.write(b"".join(lines).decode())
                self._stream.flush()
            except (OSError, ValueError):  # a full disk, a reader that is gone, a stream that is closed
                self._lost(len(lines))

    def _add(self, line: bytes) -> None:
        if self._bytes + len(line) > _GROUP_BYTES:
            self.flush()
        self._lines.append(line)
        self._bytes += len(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LATEST_SECONDS, self.flush)


REQUEST_LOG = RequestLog()
atexit.register(REQUEST_LOG.flush)
