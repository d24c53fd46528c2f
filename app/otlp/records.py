"""Both logs over OTLP: processings as spans, as Logboek Dataverwerkingen has them; security as logs.

Not through the SDK's pipelines, which drop what does not fit and would draw ids of their own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from app.domain.record import ProcessingStatus, SecurityOutcome
from app.otlp.collector import SCOPE, SECONDS, address, resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.domain.record_export import KeptSecurityRecord, SubjectRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STATUSES = {
    ProcessingStatus.OK.value: Status(StatusCode.OK),
    ProcessingStatus.ERROR.value: Status(StatusCode.ERROR),
}
_SEVERITIES = {
    SecurityOutcome.DONE.value: SeverityNumber.INFO,
    SecurityOutcome.REFUSED.value: SeverityNumber.WARN,
}


class OtlpRecords:
    """Sends records and waits until they are taken."""

    def __init__(self, endpoint: str, hub_address: str) -> None:
        self._sender = resource(hub_address)
        self._spans = OTLPSpanExporter(address(endpoint, "traces"), timeout=SECONDS)
        self._logs = OTLPLogExporter(address(endpoint, "logs"), timeout=SECONDS)

    def processings(self, records: Sequence[SubjectRecord]) -> bool:
        """Send records of the processing log; tell whether they were taken."""
        return self._spans.export([self._span(one) for one in records]) is SpanExportResult.SUCCESS

    def security(self, records: Sequence[KeptSecurityRecord]) -> bool:
        """Send records of the security log; tell whether they were taken."""
        taken = self._logs.export([ReadableLogRecord(_log(one), self._sender, SCOPE) for one in records])
        return taken is LogRecordExportResult.SUCCESS

    def close(self) -> None:
        """Give up what is being sent."""
        self._spans.shutdown()  # type: ignore[no-untyped-call]
        self._logs.shutdown()  # type: ignore[no-untyped-call]

    def _span(self, record: SubjectRecord) -> ReadableSpan:
        kept = record.processing
        return ReadableSpan(
            kept.activity,
            _context(kept.trace_id, record.span_id),
            None if record.parent_span_id is None else _context(kept.trace_id, record.parent_span_id),
            self._sender,
            record.attributes(),
            status=_STATUSES[kept.status],
            start_time=_nanoseconds(kept.started_at),
            end_time=_nanoseconds(kept.ended_at),
            instrumentation_scope=SCOPE,
        )


def _context(trace_id: str, span_id: str) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=flags)


def _log(kept: KeptSecurityRecord) -> LogRecord:
    attributes: dict[str, str | int] = {"koppelpunt.outcome": kept.outcome, "koppelpunt.count": kept.count}
    told = {
        "koppelpunt.actor": kept.actor,
        "koppelpunt.on_behalf_of": kept.on_behalf_of,
        "koppelpunt.subject": kept.subject,
        "koppelpunt.detail": kept.detail,
    }
    attributes |= {name: value for name, value in told.items() if value is not None}
    return LogRecord(
        timestamp=_nanoseconds(kept.at),
        observed_timestamp=_nanoseconds(kept.at),
        severity_number=_SEVERITIES[kept.outcome],
        severity_text=_SEVERITIES[kept.outcome].name,
        body=kept.event,
        attributes={**attributes, "koppelpunt.record": kept.id},
        event_name=f"koppelpunt.security.{kept.event.lower()}",
    )


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * 1000
