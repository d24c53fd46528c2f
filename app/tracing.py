"""Where a piece of work stands in a trace (W3C Trace Context), and what notes it.

What notes is `app/otlp`, loaded only where a setting names a collector: elsewhere tracing is None.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII
)
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span: its trace and itself in hexadecimal, and whether it is kept."""

    trace_id: str
    span_id: str
    sampled: bool = False

    @classmethod
    def new(cls) -> TraceContext:
        """Return the beginning of a trace that nobody keeps."""
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    @classmethod
    def read(cls, traceparent: str) -> TraceContext | None:
        """Return what a header says, or None when it is not well-formed."""
        match = _TRACEPARENT.fullmatch(traceparent)
        return None if match is None else cls(match[1], match[2], bool(int(match[3], 16) & _SAMPLED))

    @property
    def header(self) -> str:
        """The value of `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02d}"


class Span(Protocol):
    """A piece of work that has begun."""

    @property
    def context(self) -> TraceContext:
        """Where it stands."""
        ...

    def end(self, attributes: Mapping[str, str | int] | None = None, *, failed: bool = False) -> None:
        """Note that it has ended, and how."""
        ...


class Tracing(Protocol):
    """Notes pieces of work. No name and no attribute holds what a caller sent, but for its client's id."""

    def serve(self, name: str, caller: TraceContext | None) -> Span:
        """Begin to answer a caller, in its trace if it came with one."""
        ...

    def call(self, name: str) -> Span:
        """Begin to call another system, in a trace of its own."""
        ...
