"""What surrounds every answer: headers that keep browsers and caches in hand, an id, measures, a log line."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from app.request_log import REQUEST, REQUEST_LOG, RequestFacts
from app.telemetry import REQUESTS

if TYPE_CHECKING:
    from prometheus_client import Histogram

Headers = tuple[tuple[bytes, bytes], ...]

_PAGE_POLICY = (
    b"default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS: Headers = (
    (b"content-security-policy", _PAGE_POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
OVER_TLS: Headers = ((b"strict-transport-security", b"max-age=31536000; includeSubDomains"),)
OF_THE_API: Headers = ((b"cache-control", b"no-store"),)
PATH = "/graphql"  # of GraphQL by HTTP
REQUEST_ID = b"x-request-id"
SECRETS_BEHIND = "/exports/"  # links that work once: what follows stands in no log
API_PATHS = ("/graphql", "/oauth/token", "/health", "/metrics")
MEASURED_PATHS = frozenset(
    {"/", "/graphql", "/oauth/token", "/oauth/jwks", "/health/live", "/health/ready", "/metrics"}
)
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_histograms: dict[tuple[str, int], Histogram] = {}


class Passage:
    """One request on its way through the hub."""

    __slots__ = ("_method", "_path", "_started", "facts")

    def __init__(self, method: str, path: str, traceparent: bytes | None) -> None:
        self._started = time.perf_counter()
        self._method = method
        self._path = path if not path.startswith(SECRETS_BEHIND) else f"{SECRETS_BEHIND}…"
        traced = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
        self.facts = RequestFacts(os.urandom(16).hex(), None if traced is None else traced[1].decode())
        REQUEST.set(self.facts)

    @property
    def request_id(self) -> tuple[bytes, bytes]:
        """The header that tells the caller the id of its request."""
        return REQUEST_ID, self.facts.request_id.encode()

    @property
    def request_id_line(self) -> bytes:
        """That header as it stands in the head of an answer."""
        return b"%b: %b\r\n" % self.request_id

    def measure(self, status: int) -> None:
        """Count an answer that begins now: a stream of events has no end."""
        # Any other path would make a label of its own.
        key = (self._path if self._path in MEASURED_PATHS else "other", status)
        histogram = _histograms.get(key)
        if histogram is None:
            histogram = _histograms[key] = REQUESTS.labels(key[0], str(status))
        histogram.observe(time.perf_counter() - self._started)

    def end(self, status: int) -> None:
        """Log the request, of a websocket with its close code: never a query string, a header or a body."""
        REQUEST_LOG.note(self._method, self._path, status, time.perf_counter() - self._started, self.facts)
