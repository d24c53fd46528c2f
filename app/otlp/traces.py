"""Traces, through the SDK: spans are queued, and sent by a thread of its own, in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from app.otlp.collector import SECONDS, address
from app.tracing import TraceContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.resources import Resource

_ERROR = Status(StatusCode.ERROR)
_QUEUE = 8192  # spans; what comes on top while the collector is away is dropped


class _Span:
    __slots__ = ("_span", "context")

    def __init__(self, span: trace.Span) -> None:
        found = span.get_span_context()
        self._span = span
        self.context = TraceContext(
            f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled
        )

    def end(self, attributes: Mapping[str, str | int] | None = None, *, failed: bool = False) -> None:
        """Note that it has ended, and how."""
        if attributes:
            self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(_ERROR)
        self._span.end()


class OtlpTracing:
    """Traces of one process. Whether one is kept follows from its id and the share, not from the caller."""

    def __init__(self, endpoint: str, sender: Resource, share: float) -> None:
        exporter = OTLPSpanExporter(address(endpoint, "traces"), timeout=SECONDS)
        self._provider = TracerProvider(TraceIdRatioBased(share), resource=sender, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_QUEUE))
        self._tracer = self._provider.get_tracer("mbo-koppelpunt")

    def serve(self, name: str, caller: TraceContext | None) -> _Span:
        """Begin to answer a caller, in its trace if it came with one."""
        parent = trace.INVALID_SPAN if caller is None else NonRecordingSpan(_remote(caller))
        around = trace.set_span_in_context(parent)
        return _Span(self._tracer.start_span(name, around, SpanKind.SERVER))

    def call(self, name: str) -> _Span:
        """Begin to call another system, in a trace of its own."""
        around = trace.set_span_in_context(trace.INVALID_SPAN)
        return _Span(self._tracer.start_span(name, around, SpanKind.CLIENT))

    def flush(self) -> None:
        """Send what waits; blocks."""
        self._provider.force_flush()

    def close(self) -> None:
        """Send what waits, and end; blocks for some seconds at most when the collector does not answer."""
        self._provider.shutdown()


def _remote(caller: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if caller.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(caller.trace_id, 16), int(caller.span_id, 16), is_remote=True, trace_flags=flags)
