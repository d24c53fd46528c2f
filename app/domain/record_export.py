"""Records as they leave the hub: one for each data subject and processing, after Logboek Dataverwerkingen.

https://logius-standaarden.github.io/logboek-dataverwerkingen/
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

SUBJECT_TYPE = "urn:mbo-koppelpunt:student"


class RecordLog(StrEnum):
    """The two logs."""

    PROCESSING = "processing"
    SECURITY = "security"


@dataclass(frozen=True, slots=True)
class KeptProcessing:
    """A row of the processing log with the students that it was about.

    Those of a delivery (`numbers`) come from the feed, as long as its entries are kept; `client` is the id of
    the client or the webhook.
    """

    id: int
    trace_id: str
    span_id: str
    activity: str
    oin: str
    client: str
    status: str
    started_at: datetime
    ended_at: datetime
    numbers: tuple[int, int] | None
    student_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeptSecurityRecord:
    """A row of the security log."""

    id: int
    at: datetime
    event: str
    outcome: str
    actor: str | None
    on_behalf_of: str | None
    subject: str | None
    detail: str | None
    count: int


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """One data subject in one processing. `subject` is encrypted; None when it is not known."""

    processing: KeptProcessing
    activity: str
    subject: str | None
    span_id: str
    parent_span_id: str | None

    def members(self) -> dict[str, object]:
        """Return the record as the standard writes it."""
        kept = self.processing
        return {
            "trace_id": kept.trace_id,
            "span_id": self.span_id,
            "parent_span_id": self.parent_span_id,
            "name": kept.activity,
            "status_code": kept.status,
            "start_time": kept.started_at.isoformat(),
            "end_time": kept.ended_at.isoformat(),
            "resource": {"name": "mbo-koppelpunt"},
            "attributes": self.attributes(),
        }

    def attributes(self) -> dict[str, str | int]:
        """Return what the standard asks for, and what the hub knows beside it."""
        kept = self.processing
        found: dict[str, str | int] = {
            "dpl.core.processing_activity_id": self.activity,
            "dpl.core.data_subject_id": self.subject or "",
            "dpl.core.data_subject_id_type": SUBJECT_TYPE,
            "koppelpunt.organisation_oin": kept.oin,
            "koppelpunt.client_id": kept.client,
        }
        if kept.numbers is not None:
            found["koppelpunt.first_number"], found["koppelpunt.last_number"] = kept.numbers
        return found


def records_of(kept: KeptProcessing, seal: Callable[[int], str], register: str) -> Iterator[SubjectRecord]:
    """Yield a record for each data subject; one without a subject when none is known any more.

    Of several, each is a span below the processing's own, under an id that follows from it and the subject:
    a record that is sent twice is the same record. `register` is what the ids of activities begin with.
    """
    activity = f"{register}{kept.activity}"
    if len(kept.student_ids) < 2:  # noqa: PLR2004 - one, or none that is known
        subject = seal(kept.student_ids[0]) if kept.student_ids else None
        yield SubjectRecord(kept, activity, subject, kept.span_id, None)
        return
    for student_id in kept.student_ids:
        subject = seal(student_id)
        span_id = sha256(f"{kept.span_id} {subject}".encode()).hexdigest()[:16]
        yield SubjectRecord(kept, activity, subject, span_id, kept.span_id)
