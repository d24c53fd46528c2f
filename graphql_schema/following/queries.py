"""Asking for followed students."""

from __future__ import annotations

from datetime import date

import strawberry

from app.domain.access import Scope
from app.domain.following import FollowedFilter
from app.services.registrations import PAGE_AT_MOST
from graphql_schema.context import Info
from graphql_schema.following.types import (
    FollowedStudent,
    FollowedStudentConnection,
    FollowedStudentEdge,
)
from graphql_schema.pagination import check_first, cut, page_info
from graphql_schema.permissions import needs

_PLACE = "followed-students"


@strawberry.type
class FollowingQueries:
    """The caller's followed students."""

    @strawberry.field(
        metadata=needs(Scope.STUDENTS_FOLLOW),
        description=(
            "Pages of 1 to 200. With `schoolYear`: those with a registration in that year. With "
            "`withoutLiveRegistration: true`: those without a live one (in that year). With `on`: by the "
            "statuses at the end of that day (Europe/Amsterdam), as they are known now."
        ),
    )
    async def followed_students(
        self,
        info: Info,
        school_year: int | None = None,
        without_live_registration: bool | None = None,
        on: date | None = None,
        first: int = 50,
        after: str | None = None,
    ) -> FollowedStudentConnection | None:
        """Return a page of followed students."""
        context = info.context
        size = check_first(first, PAGE_AT_MOST)
        last = "" if after is None else str(context.cursors.open(_PLACE, after)[0])
        found = await context.services.following.followed_students(
            context.principal,
            last,
            size + 1,
            FollowedFilter(school_year, without_live_registration, on),
        )
        rows, more = cut(found, size)
        nodes = [FollowedStudent.from_domain(row, context.services.catalogue) for row in rows]
        cursors = [context.cursors.seal(_PLACE, row.reference) for row in rows]
        return FollowedStudentConnection(
            edges=[FollowedStudentEdge(cursor=c, node=n) for c, n in zip(cursors, nodes, strict=True)],
            nodes=nodes,
            page_info=page_info(cursors, more=more, after=after),
        )

    @strawberry.field(metadata=needs(Scope.STUDENTS_FOLLOW), description="By one's own reference.")
    async def followed_student(self, info: Info, reference: strawberry.ID) -> FollowedStudent | None:
        """Return one followed student or null."""
        context = info.context
        found = await context.services.following.followed_student(context.principal, reference)
        return None if found is None else FollowedStudent.from_domain(found, context.services.catalogue)
