"""A message about a registration, as sent, and the parts of judging it that need nothing but itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from app.domain import codes
from app.domain.value import value

if TYPE_CHECKING:
    from app.domain.codes import LearningPath, Status
    from app.domain.personal_number import PersonalNumber

# The sender's id of a message. A text is in the form that `str` gives a UUID, and costs a tenth of one.
MessageId: TypeAlias = UUID | str


class Outcome(codes.Choice):
    """What became of a message."""

    ACCEPTED = "ACCEPTED"
    DUPLICATE = "DUPLICATE"
    OUTDATED = "OUTDATED"
    REFUSED = "REFUSED"


class Refusal(codes.Choice):
    """Why an item of a batch was refused."""

    PERSONAL_NUMBER_INVALID = "PERSONAL_NUMBER_INVALID"
    FIELD_INVALID = "FIELD_INVALID"
    NO_MANDATE = "NO_MANDATE"
    OTHER_INSTITUTION = "OTHER_INSTITUTION"
    OTHER_STUDENT = "OTHER_STUDENT"
    MESSAGE_ID_REUSED = "MESSAGE_ID_REUSED"
    UNKNOWN_INSTITUTION = "UNKNOWN_INSTITUTION"
    UNKNOWN_REGISTRATION = "UNKNOWN_REGISTRATION"
    IN_THE_FUTURE = "IN_THE_FUTURE"
    REFERENCE_IN_USE = "REFERENCE_IN_USE"
    ALREADY_ENROLLED = "ALREADY_ENROLLED"


class Finding(codes.Choice):
    """What is remarkable about a message that was accepted all the same."""

    UNKNOWN_PROGRAMME = "UNKNOWN_PROGRAMME"
    UNUSUAL_STEP = "UNUSUAL_STEP"
    CONFIRMS_CURRENT = "CONFIRMS_CURRENT"
    LATE = "LATE"


class CorrectionKind(codes.Choice):
    """What a correction does."""

    ANNUL = "ANNUL"
    REPLACE_STATUS = "REPLACE_STATUS"
    REPLACE_STUDENT = "REPLACE_STUDENT"


@dataclass(frozen=True, slots=True)
class Defect:
    """Why the form of a message is wrong; `field` is its name in the API."""

    code: Refusal
    field: str | None = None


def spelled(moment: datetime) -> str:
    """Return a time as text, in UTC: one spelling for each moment."""
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat()


@value
class StatusMessage:
    """One status of one registration, as a sender puts it. Times are in UTC."""

    message_id: MessageId
    application_id: str
    personal_number: PersonalNumber
    brin: str
    programme_code: str
    learning_path: LearningPath
    school_year: int
    programme_year: int
    status: Status
    occurred_at: datetime
    leaving_school: str | None = None

    def defect(self, digits: str | None, now: datetime) -> Defect | None:
        """Return what is wrong with the form, in the order of the fields, or None."""
        field: str | None = None
        if not codes.is_identifier(self.application_id):
            field = "applicationId"
        elif digits is None:
            return Defect(Refusal.PERSONAL_NUMBER_INVALID)
        elif not codes.is_brin(self.brin):
            field = "brin"
        elif not codes.is_programme_code(self.programme_code):
            field = "programmeCode"
        elif not codes.is_school_year(self.school_year, now):
            field = "schoolYear"
        elif not codes.is_programme_year(self.programme_year):
            field = "programmeYear"
        elif self.leaving_school is not None and not codes.is_school(self.leaving_school):
            field = "leavingSchool"
        return None if field is None else Defect(Refusal.FIELD_INVALID, field)

    def content(self, digits: str | None, at: str) -> str:
        """Return what the sender said, spelled in one way, to be digested and thrown away.

        `at` is `occurred_at` as `spelled` gives it.
        """
        return "\x1f".join(
            (
                "status",
                self.application_id,
                digits or "",
                self.brin,
                self.programme_code,
                self.learning_path,
                str(self.school_year),
                str(self.programme_year),
                self.status,
                at,
                self.leaving_school or "",
            )
        )


@value
class Correction:
    """An explicit correction of a registration; wins over time."""

    message_id: MessageId
    application_id: str
    brin: str
    kind: CorrectionKind
    reason: str
    status: Status | None = None
    occurred_at: datetime | None = None
    personal_number: PersonalNumber | None = None

    def defect(self, digits: str | None, now: datetime) -> Defect | None:  # noqa: ARG002 - as StatusMessage.defect
        """Return what is wrong with the form, or None."""
        field: str | None = None
        if not codes.is_identifier(self.application_id):
            field = "applicationId"
        elif not codes.is_brin(self.brin):
            field = "brin"
        elif not self.reason.strip():
            field = "reason"
        elif self.kind is CorrectionKind.REPLACE_STATUS and self.status is None:
            field = "status"
        elif self.kind is CorrectionKind.REPLACE_STATUS and self.occurred_at is None:
            field = "occurredAt"
        elif self.kind is CorrectionKind.REPLACE_STUDENT and digits is None:
            return Defect(Refusal.PERSONAL_NUMBER_INVALID)
        return None if field is None else Defect(Refusal.FIELD_INVALID, field)

    def content(self, digits: str | None, at: str) -> str:
        """Return what the sender said, as StatusMessage.content; `at` is empty where no time was given."""
        return "\x1f".join(
            (
                "correction",
                self.kind,
                self.application_id,
                self.brin,
                self.reason,
                self.status or "",
                at,
                digits or "",
            )
        )
