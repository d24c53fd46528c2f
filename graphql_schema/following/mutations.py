"""Following and unfollowing students."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.following.types import (
    FollowStudentsInput,
    FollowStudentsPayload,
    UnfollowStudentsInput,
    UnfollowStudentsPayload,
)
from graphql_schema.permissions import needs


@strawberry.type
class FollowingMutations:
    """What transfer systems do."""

    @strawberry.mutation(
        metadata=needs(Scope.STUDENTS_FOLLOW),
        description="Follow 1 to 1,000 students; answers with their registrations and the feed's position.",
    )
    async def follow_students(self, info: Info, input: FollowStudentsInput) -> FollowStudentsPayload:
        """Follow students."""
        context = info.context
        snapshot = await context.services.following.follow(
            context.principal, [student.to_domain() for student in input.students]
        )
        return FollowStudentsPayload.from_domain(snapshot, context.services.catalogue)

    @strawberry.mutation(
        metadata=needs(Scope.STUDENTS_FOLLOW),
        description="Stop following 1 to 1,000 students, by one's own references.",
    )
    async def unfollow_students(self, info: Info, input: UnfollowStudentsInput) -> UnfollowStudentsPayload:
        """Unfollow students."""
        context = info.context
        unfollowed, unknown = await context.services.following.unfollow(
            context.principal, list(input.references)
        )
        return UnfollowStudentsPayload(
            unfollowed=[strawberry.ID(reference) for reference in unfollowed],
            unknown=[strawberry.ID(reference) for reference in unknown],
        )
