"""Removing a student at once."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from app.domain.personal_number import PersonalNumber
from graphql_schema.context import Info
from graphql_schema.permissions import needs


@strawberry.input
class EraseStudentInput:
    """Who is to be removed."""

    personal_number: PersonalNumber


@strawberry.type
class EraseStudentPayload:
    """What became of it."""

    erased: bool = strawberry.field(description="Whether the hub knew anything of this student.")


@strawberry.type
class RetentionMutations:
    """What CAMBO does on behalf of a student who wants to be forgotten."""

    @strawberry.mutation(
        metadata=needs(Scope.STUDENTS_ERASE),
        description=(
            "Remove everything about a student at once: registrations, history, follows, contents of feeds. "
            "Numbers of feeds and anonymous totals stay. A later message begins anew."
        ),
    )
    async def erase_student(self, info: Info, input: EraseStudentInput) -> EraseStudentPayload:
        """Erase a student."""
        context = info.context
        erased = await context.services.retention.erase(context.principal, input.personal_number)
        return EraseStudentPayload(erased=erased)
