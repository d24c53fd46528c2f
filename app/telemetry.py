"""Logs and metrics. No line and no label ever holds a personal number."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge, Histogram

from app.domain.redaction import scrub
from app.request_log import REQUEST_LOG, merge_request

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

log: structlog.stdlib.BoundLogger = structlog.get_logger("koppelpunt")

MESSAGES = Counter(
    "koppelpunt_messages_total", "Messages judged, by outcome and refusal code", ["outcome", "code"]
)
EVENTS_NUMBERED = Counter("koppelpunt_events_numbered_total", "Status events that got their numbers")
ENTRIES_NUMBERED = Counter("koppelpunt_entries_numbered_total", "Feed entries written")
FOUND_BY_TIMEOUT = Counter(
    "koppelpunt_found_by_timeout_total", "Times that a time-out, and not the doorbell, found work", ["by"]
)
DOORBELL_FAILURES = Counter(
    "koppelpunt_doorbell_failures_total", "Rings that failed and listeners that were lost"
)
DISPATCHER_LEADS = Gauge("koppelpunt_dispatcher_leads", "1 while this process numbers events")
BACKGROUND_FAILURES = Counter(
    "koppelpunt_background_failures_total",
    "Times that something in the background ended, which it never should, and was begun anew",
    ["task"],
)
HOUSEKEEPING_LEADS = Gauge("koppelpunt_housekeeping_leads", "1 while this process does the background jobs")
HOUSEKEEPING_JOBS = Counter(
    "koppelpunt_housekeeping_jobs_total",
    "Background jobs that ended, by what became of them",
    ["job", "outcome"],
)
SUBSCRIPTIONS = Gauge("koppelpunt_subscriptions", "Open subscriptions to feeds")
CONNECTIONS = Gauge("koppelpunt_connections", "Open websockets and streams of events")
REQUESTS = Histogram(
    "koppelpunt_request_seconds",
    "Duration of HTTP requests",
    ["path", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
OLDEST_PENDING = Gauge(
    "koppelpunt_oldest_pending_seconds", "Age of the oldest event without its numbers, 0 when there is none"
)
OLDEST_UNACKNOWLEDGED = Gauge(
    "koppelpunt_oldest_unacknowledged_seconds",
    "Age of the oldest number that its receiver has not acknowledged, 0 when there is none",
)
RECEIVERS_BEHIND = Gauge(
    "koppelpunt_receivers_behind", "Receivers that have not acknowledged every number of their feed"
)
SENDERS = Gauge(
    "koppelpunt_senders", "SIS vendors by institution with a mandate, by whether they deliver", ["state"]
)
DELIVERY_FINDINGS = Gauge(
    "koppelpunt_delivery_findings", "Findings on deliveries that stand, by kind", ["finding"]
)
RUNS_OUT = Gauge(
    "koppelpunt_runs_out_seconds",
    "Time until the first of these is no longer good, below 0 when it is not; +Inf when there is none",
    ["what"],
)
WEBHOOK_ATTEMPTS = Counter(
    "koppelpunt_webhook_attempts_total", "Notifications sent to webhooks, by what became of them", ["outcome"]
)

STUDENTS_REMOVED = Counter(
    "koppelpunt_students_removed_total", "Students removed with everything about them, by why", ["by"]
)
RATE_LIMITED = Counter(
    "koppelpunt_rate_limited_total", "Refusals with RATE_LIMITED, by what was used up", ["of"]
)
UNUSUAL_FOLLOWS = Counter(
    "koppelpunt_unusual_follows_total",
    "Times that a transfer system followed far more in a day than on any day before",
)

RECORDS_EXPORTED = Counter(
    "koppelpunt_records_exported_total", "Rows of both logs that their keeper has taken", ["log"]
)
RECORDS_REMOVED = Counter(
    "koppelpunt_records_removed_total", "Rows of both logs that were kept for long enough", ["log"]
)
OLDEST_UNEXPORTED = Gauge(
    "koppelpunt_oldest_unexported_seconds",
    "Age of the oldest record that its keeper has not taken, 0 when there is none",
    ["log"],
)

LOG_LINES_LOST = Counter(
    "koppelpunt_log_lines_lost_total", "Lines of the log that could not be written at once, or at all"
)


# Made by the hub itself; masked, a time or an id would be of no use.
_MADE_HERE = frozenset({"timestamp", "request_id", "error_id"})


def _scrub_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Mask what might be a personal number: the last defence."""
    return {
        key: scrub(value) if isinstance(value, str) and key not in _MADE_HERE else value
        for key, value in event.items()
    }


class _Handler(logging.StreamHandler):  # type: ignore[type-arg] # it is generic in the stubs only
    """Keeps the order: lines of requests that wait are written first. Never fails."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        REQUEST_LOG.flush()
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - named by the base class
        """Count the line; the base class would write the record as it came, unmasked, to the same place."""
        LOG_LINES_LOST.inc()


def configure_logging(level: str = "INFO", *, json: bool | None = None) -> None:
    """Log through structlog: JSON unless on a terminal; everything else's loggers go the same way."""
    as_json = not sys.stderr.isatty() if json is None else json
    shared: list[Processor] = [
        merge_request,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _scrub_event,
    ]
    renderer: Processor = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    REQUEST_LOG.configure(
        sys.stderr if as_json else None,
        silent=not root.isEnabledFor(logging.INFO),
        lost=LOG_LINES_LOST.inc,
    )
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "strawberry", "strawberry.execution"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    # One access log, ours: uvicorn's would hold query strings.
    logging.getLogger("uvicorn.access").disabled = True
    # Without a handler uvicorn does not even put it together.
    logging.getLogger("uvicorn.access").propagate = False
    logging.getLogger("alembic").setLevel("WARNING")
