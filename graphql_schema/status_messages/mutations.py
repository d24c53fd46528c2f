"""Reporting statuses and correcting registrations."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.execution.calls import unasked
from graphql_schema.permissions import needs
from graphql_schema.status_messages.inputs import CorrectRegistrationsInput, ReportStatusesInput
from graphql_schema.status_messages.types import CorrectRegistrationsPayload, ReportStatusesPayload

_SHOWN = {"registration": "registration"}


@strawberry.type
class StatusMessageMutations:
    """What senders do."""

    @strawberry.mutation(
        metadata=needs(Scope.STATUSES_REPORT),
        description="Report 1 to 1,000 statuses, each with its own outcome; on disk when answered.",
    )
    async def report_statuses(self, info: Info, input: ReportStatusesInput) -> ReportStatusesPayload:
        """Judge and record messages."""
        context = info.context
        results = await context.services.status_messages.report(
            context.principal,
            input.to_domain(),
            dry_run=input.dry_run,
            shows=not unasked(info, _SHOWN),
        )
        return ReportStatusesPayload.from_domain(results, context.services.catalogue)

    @strawberry.mutation(
        metadata=needs(Scope.STATUSES_REPORT),
        description="Correct 1 to 100 registrations: annul, replace the status, replace the student.",
    )
    async def correct_registrations(
        self, info: Info, input: CorrectRegistrationsInput
    ) -> CorrectRegistrationsPayload:
        """Judge and record corrections."""
        context = info.context
        results = await context.services.status_messages.correct(
            context.principal, [correction.to_domain() for correction in input.corrections]
        )
        return CorrectRegistrationsPayload.from_domain(results, context.services.catalogue)
