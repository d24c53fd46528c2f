"""Asking for an export."""

from __future__ import annotations

from datetime import date, datetime

import strawberry

from app.domain.access import Scope
from app.domain.export import ExportRequest, OverviewRequest
from app.domain.following import FollowedFilter
from graphql_schema.context import Info
from graphql_schema.enums import ExportFormat
from graphql_schema.permissions import needs


@strawberry.input(description="Which followed students, as `followedStudents` has it, and as what file.")
class ExportFollowedStudentsInput:
    """A wish for a file."""

    format: ExportFormat
    school_year: int | None = None
    without_live_registration: bool | None = None
    on: date | None = None

    def to_domain(self) -> ExportRequest:
        """Translate."""
        wanted = FollowedFilter(self.school_year, self.without_live_registration, self.on)
        return ExportRequest(wanted, self.format)


@strawberry.type(description="A link to a file, for this client alone and for one use.")
class ExportFollowedStudentsPayload:
    """Where to get it."""

    path: str = strawberry.field(
        description="GET it at the hub's address, with this client's access token in `Authorization`."
    )
    expires_at: datetime


@strawberry.input(description="Of which school year, and as what file.")
class ExportAnnualOverviewInput:
    """A wish for a file."""

    format: ExportFormat
    school_year: int

    def to_domain(self) -> OverviewRequest:
        """Translate."""
        return OverviewRequest(self.school_year, self.format)


@strawberry.type(description="A link to a file, for this client alone and for one use.")
class ExportAnnualOverviewPayload:
    """Where to get it."""

    path: str = strawberry.field(
        description="GET it at the hub's address, with this client's access token in `Authorization`."
    )
    expires_at: datetime


@strawberry.type
class ExportMutations:
    """Lists and figures as files."""

    @strawberry.mutation(
        metadata=needs(Scope.STUDENTS_FOLLOW),
        description="Make a link to a file of one's followed students, a line for each registration.",
    )
    async def export_followed_students(
        self, info: Info, input: ExportFollowedStudentsInput
    ) -> ExportFollowedStudentsPayload:
        """Make a link."""
        context = info.context
        secret, expires_at = await context.services.exports.offer(context.principal, input.to_domain())
        return ExportFollowedStudentsPayload(path=f"/exports/{secret}", expires_at=expires_at)

    @strawberry.mutation(
        metadata=needs(Scope.STATISTICS_READ),
        description="Make a link to a file of `annualOverview`. `NOT_FOUND` where none was kept.",
    )
    async def export_annual_overview(
        self, info: Info, input: ExportAnnualOverviewInput
    ) -> ExportAnnualOverviewPayload:
        """Make a link."""
        context = info.context
        secret, expires_at = await context.services.exports.offer(context.principal, input.to_domain())
        return ExportAnnualOverviewPayload(path=f"/exports/{secret}", expires_at=expires_at)
