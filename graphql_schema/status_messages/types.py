"""What senders are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self
from uuid import UUID

import strawberry

from app.domain import message_result as domain
from app.services.catalogue import CatalogueService
from graphql_schema.enums import Finding, MessageOutcome, RefusalCode
from graphql_schema.registrations.types import Registration

if TYPE_CHECKING:
    from collections.abc import Sequence


@strawberry.type(description="What became of one message.")
class MessageResult:
    """The outcome of a message."""

    message_id: UUID
    outcome: MessageOutcome
    original_outcome: MessageOutcome | None = strawberry.field(
        description="Of a DUPLICATE: what the first one got."
    )
    code: RefusalCode | None = strawberry.field(description="Why REFUSED.")
    field: str | None = strawberry.field(description="Of FIELD_INVALID.")
    findings: list[Finding]
    judged: strawberry.Private[domain.MessageResult]
    catalogue: strawberry.Private[CatalogueService]

    @strawberry.field(description="Null when REFUSED.")
    def registration(self) -> Registration | None:
        """Return the registration as the batch left it; made only for those who ask for it."""
        found = self.judged.registration
        return None if found is None else Registration.from_domain(found, self.catalogue)

    @classmethod
    def from_domain(cls, result: domain.MessageResult, catalogue: CatalogueService) -> Self:
        """Translate."""
        made = cls.__new__(cls)  # field by field: by its names in a call it takes twice the time
        made.message_id = result.message_id  # type: ignore[assignment] # a UUID and its text look alike outside
        made.outcome = result.outcome
        made.original_outcome = result.original_outcome
        made.code = result.code
        made.field = result.field
        made.findings = list(result.findings)
        made.judged = result
        made.catalogue = catalogue
        return made


@strawberry.type
class ReportStatusesPayload:
    """Results in the order of the messages."""

    results: list[MessageResult]

    @classmethod
    def from_domain(cls, results: Sequence[domain.MessageResult], catalogue: CatalogueService) -> Self:
        """Translate."""
        return cls(results=[MessageResult.from_domain(result, catalogue) for result in results])


@strawberry.type
class CorrectRegistrationsPayload:
    """Results in the order of the corrections."""

    results: list[MessageResult]

    @classmethod
    def from_domain(cls, results: Sequence[domain.MessageResult], catalogue: CatalogueService) -> Self:
        """Translate."""
        return cls(results=[MessageResult.from_domain(result, catalogue) for result in results])
