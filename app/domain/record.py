"""What is put on record: events of security, and processings of personal data (Logboek Dataverwerkingen)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from app.domain.value import value

if TYPE_CHECKING:
    from datetime import datetime


class SecurityEvent(StrEnum):
    """What happened, in the past tense."""

    TOKEN_ISSUED = "TOKEN_ISSUED"  # noqa: S105 - a name
    TOKEN_REFUSED = "TOKEN_REFUSED"  # noqa: S105 - a name
    CLIENT_ADDED = "CLIENT_ADDED"
    CLIENT_REVOKED = "CLIENT_REVOKED"
    CERTIFICATE_ADDED = "CERTIFICATE_ADDED"
    CERTIFICATE_REMOVED = "CERTIFICATE_REMOVED"
    SECOND_FACTOR_RECORDED = "SECOND_FACTOR_RECORDED"
    PENETRATION_TEST_RECORDED = "PENETRATION_TEST_RECORDED"
    SUBJECT_ADDED = "SUBJECT_ADDED"
    SUBJECT_REMOVED = "SUBJECT_REMOVED"
    MANDATE_ADDED = "MANDATE_ADDED"
    MANDATE_REMOVED = "MANDATE_REMOVED"
    SIGNING_KEY_ADDED = "SIGNING_KEY_ADDED"
    PSEUDONYM_KEY_ADDED = "PSEUDONYM_KEY_ADDED"
    PSEUDONYMS_ROTATED = "PSEUDONYMS_ROTATED"
    STUDENTS_REMOVED = "STUDENTS_REMOVED"
    ANALYSIS_EXPORTED = "ANALYSIS_EXPORTED"
    RECORDS_READ = "RECORDS_READ"
    RECORDS_REMOVED = "RECORDS_REMOVED"
    ACCESS_REFUSED = "ACCESS_REFUSED"


class SecurityOutcome(StrEnum):
    """How it ended."""

    DONE = "DONE"
    REFUSED = "REFUSED"


OPERATOR = "operator"  # who works on the command line


@dataclass(frozen=True, slots=True)
class SecurityRecord:
    """One event, or `count` alike ones.

    `actor` is a client's id, OPERATOR, or None when nobody is known; `on_behalf_of` an OIN or a BRIN;
    `subject` what it was done to: a client's id, a key's.
    """

    at: datetime
    event: SecurityEvent
    outcome: SecurityOutcome = SecurityOutcome.DONE
    actor: str | None = None
    on_behalf_of: str | None = None
    subject: str | None = None
    detail: str | None = None
    count: int = 1


class Activity(StrEnum):
    """The processing activities, as the register of processings knows them."""

    REPORT_STATUSES = "report-statuses"
    CORRECT_REGISTRATIONS = "correct-registrations"
    FOLLOW_STUDENTS = "follow-students"
    ERASE_STUDENT = "erase-student"
    READ_REGISTRATIONS = "read-registrations"
    READ_FOLLOWED_STUDENTS = "read-followed-students"
    EXPORT_FOLLOWED_STUDENTS = "export-followed-students"
    READ_STATUS_CHANGES = "read-status-changes"
    DELIVER_STATUS_CHANGES = "deliver-status-changes"
    NOTIFY_STATUS_CHANGES = "notify-status-changes"
    READ_MESSAGE_RESULTS = "read-message-results"
    COMPARE_REGISTRATIONS = "compare-registrations"


class ProcessingStatus(StrEnum):
    """How a processing ended, after OpenTelemetry.

    One that failed was rolled back and touched nobody, but for a notification: that may have arrived.
    """

    OK = "OK"
    ERROR = "ERROR"


@value
class Processing:
    """A processing that has begun: by whom, as part of which trace (hexadecimal, W3C Trace Context).

    For a notification `client_id` is the id of the webhook.
    """

    activity: Activity
    organisation_id: int
    client_id: str
    trace_id: str
    started_at: datetime
    span_id: str = field(default_factory=lambda: os.urandom(8).hex())


@value
class ProcessingRecord:
    """A processing that has ended, and the students that it was about (the hub's own ids).

    A delivery names instead the first and the last number in the receiver's feed, which knows whose they are.
    """

    processing: Processing
    ended_at: datetime
    student_ids: tuple[int, ...]
    numbers: tuple[int, int] | None = None
    status: ProcessingStatus = ProcessingStatus.OK
