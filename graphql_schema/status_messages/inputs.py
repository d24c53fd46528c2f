"""What senders send."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, cast
from uuid import UUID

import strawberry

from app.domain import status_message as domain
from app.domain.personal_number import PersonalNumber
from graphql_schema.enums import CorrectionKind, LearningPath, RegistrationStatus
from graphql_schema.scalars import Brin, ProgrammeCode


@strawberry.input(description="One status of one registration.")
class StatusMessageInput:
    """A status message; compiled code makes the domain's of its fields, which has the same in this order."""

    made_as: ClassVar = domain.StatusMessage

    message_id: UUID = strawberry.field(description="berichtID; the same id again is the same message.")
    application_id: strawberry.ID = strawberry.field(description="aanmeldID")
    personal_number: PersonalNumber
    brin: Brin
    programme_code: ProgrammeCode
    learning_path: LearningPath
    school_year: int
    programme_year: int = 1
    status: RegistrationStatus
    occurred_at: datetime = strawberry.field(description="When the student was told.")
    leaving_school: str | None = strawberry.field(
        default=None, description="BRIN and branch, 6 characters; only its region is kept."
    )

    def to_domain(self) -> domain.StatusMessage:
        """Translate."""
        return domain.StatusMessage(
            self.message_id,
            self.application_id,
            self.personal_number,
            self.brin,
            self.programme_code,
            self.learning_path,
            self.school_year,
            self.programme_year,
            self.status,
            self.occurred_at,
            self.leaving_school,
        )


@strawberry.input
class ReportStatusesInput:
    """A batch of messages."""

    messages: list[StatusMessageInput] = strawberry.field(description="1 to 1,000.")
    dry_run: bool = strawberry.field(default=False, description="Judged, nothing written.")

    def to_domain(self) -> list[domain.StatusMessage]:
        """Return the messages; where they came by compiled code, they are the domain's already."""
        return [
            message if isinstance(message, domain.StatusMessage) else message.to_domain()
            for message in cast("list[StatusMessageInput | domain.StatusMessage]", self.messages)
        ]


@strawberry.input(description="An explicit correction; wins over time.")
class CorrectionInput:
    """A correction."""

    message_id: UUID
    application_id: strawberry.ID
    brin: Brin
    kind: CorrectionKind
    reason: str = strawberry.field(description="For the sender's own log; not kept.")
    status: RegistrationStatus | None = strawberry.field(default=None, description="Of REPLACE_STATUS.")
    occurred_at: datetime | None = strawberry.field(
        default=None, description="Of REPLACE_STATUS; may be before the wrong one."
    )
    personal_number: PersonalNumber | None = strawberry.field(default=None, description="Of REPLACE_STUDENT.")

    def to_domain(self) -> domain.Correction:
        """Translate."""
        return domain.Correction(
            self.message_id,
            self.application_id,
            self.brin,
            self.kind,
            self.reason,
            self.status,
            self.occurred_at,
            self.personal_number,
        )


@strawberry.input
class CorrectRegistrationsInput:
    """A batch of corrections."""

    corrections: list[CorrectionInput] = strawberry.field(description="1 to 100.")
