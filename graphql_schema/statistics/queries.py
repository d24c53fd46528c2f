"""Asking for statistics."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.permissions import needs
from graphql_schema.scalars import Brin
from graphql_schema.statistics.annual import AnnualOverview
from graphql_schema.statistics.cube import Coverage, RegistrationStatistics
from graphql_schema.statistics.types import MultipleRegistrationStatistics


@strawberry.type
class StatisticsQueries:
    """Totals, never a person."""

    @strawberry.field(
        metadata=needs(Scope.STATISTICS_READ),
        description="Of one's own institution; without `brin`: national. Null before the first snapshot.",
    )
    async def multiple_registration_statistics(
        self, info: Info, school_year: int, brin: Brin | None = None
    ) -> MultipleRegistrationStatistics | None:
        """Return the figures of a school year."""
        context = info.context
        found = await context.services.statistics.multiple_registrations(context.principal, brin, school_year)
        if found is None:
            return None
        return MultipleRegistrationStatistics.from_domain(found, context.services.catalogue)

    @strawberry.field(
        metadata=needs(Scope.STATISTICS_READ),
        description="Of one's own institution; without `brin`: national. Null before the first snapshot.",
    )
    async def registration_statistics(
        self, info: Info, school_year: int, brin: Brin | None = None
    ) -> RegistrationStatistics | None:
        """Return the tables of a school year."""
        context = info.context
        found = await context.services.statistics.registrations(context.principal, brin, school_year)
        return (
            None if found is None else RegistrationStatistics.from_domain(found, context.services.catalogue)
        )

    @strawberry.field(
        metadata=needs(Scope.COVERAGE_READ),
        description="How a region's students are followed; a region asks for itself. Null before the first"
        " snapshot.",
    )
    async def coverage(self, info: Info, region: str, school_year: int) -> Coverage | None:
        """Return who is followed, who is not, and which institutions are silent."""
        context = info.context
        found = await context.services.statistics.coverage(context.principal, region, school_year)
        return None if found is None else Coverage.from_domain(found, context.services.catalogue)

    @strawberry.field(
        metadata=needs(Scope.STATISTICS_READ),
        description="The country on 1 October of a school year. `NOT_FOUND` where none was kept.",
    )
    async def annual_overview(self, info: Info, school_year: int) -> AnnualOverview | None:
        """Return the overview of a school year."""
        context = info.context
        found = await context.services.annual_overview.overview(context.principal, school_year)
        return AnnualOverview.from_domain(found, context.services.catalogue)
