"""A collector that takes OTLP over HTTP, decodes what comes, and keeps it; the rest it keeps as it comes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

_KINDS: dict[str, type[Any]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


def plain(attributes: list[KeyValue]) -> dict[str, Any]:
    """Return attributes as a dictionary."""
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}


@dataclass
class Collector:
    """What came. `answers` are the next statuses; 200 once there are none."""

    url: str
    arrived: list[tuple[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def spans(self) -> list[Any]:
        """Every span that came, in order."""
        return [
            span
            for path, request in self.arrived
            if path == "/v1/traces"
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics that came, by name; the last of each."""
        return {
            metric.name: metric
            for path, request in self.arrived
            if path == "/v1/metrics"
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    @property
    def logs(self) -> list[Any]:
        """Every log record that came, in order."""
        return [
            record
            for path, request in self.arrived
            if path == "/v1/logs"
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = collector.answers.pop(0) if collector.answers else 200
            if status == 200:
                collector.raw.append(body)
                if kind := _KINDS.get(self.path):
                    collector.arrived.append((self.path, kind.FromString(body)))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
