"""Finding out what the hub lacks, without telling it anything."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from app.domain.reconciliation import Part
from graphql_schema.context import Info
from graphql_schema.permissions import needs
from graphql_schema.reconciliation.types import (
    CompareRegistrationsInput,
    RegistrationComparison,
    RegistrationDigest,
)
from graphql_schema.scalars import Brin


@strawberry.type
class ReconciliationQueries:
    """Comparing what a sender has with what it has reported."""

    @strawberry.field(
        metadata=needs(Scope.STATUSES_REPORT),
        description="What the hub holds of your reports at an institution in a school year, as counts and "
        "digests by prefix. Annulled registrations are left out.",
    )
    async def registration_digest(
        self, info: Info, brin: Brin, school_year: int, prefix: str = ""
    ) -> RegistrationDigest | None:
        """Return a digest with its children."""
        context = info.context
        part = Part(brin, school_year, prefix)
        found = await context.services.reconciliation.digest(context.principal, part)
        return RegistrationDigest.of_domain(found)

    @strawberry.field(
        metadata=needs(Scope.STATUSES_REPORT),
        description="Compare all that you have below a prefix, up to 1,000 registrations, with the hub.",
    )
    async def compare_registrations(
        self, info: Info, input: CompareRegistrationsInput
    ) -> RegistrationComparison | None:
        """Return what differs."""
        context = info.context
        listed = [one.to_domain() for one in input.registrations]
        found = await context.services.reconciliation.compare(context.principal, input.to_part(), listed)
        return RegistrationComparison.from_domain(found)
