"""Followed students, and what becomes of wishes to follow."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Self

import strawberry

from app.domain import following as domain
from app.domain.personal_number import PersonalNumber
from graphql_schema.enums import FollowOutcome, RefusalCode, RegistrationStatus, StatusSource
from graphql_schema.feed.types import FeedPosition
from graphql_schema.pagination import PageInfo
from graphql_schema.registrations.types import Registration

if TYPE_CHECKING:
    from app.services.catalogue import CatalogueService
    from app.services.following import Snapshot


@strawberry.input(description="A student to follow (opgevoerde identiteit).")
class FollowedStudentInput:
    """A student by personal number, under the transfer system's own reference."""

    personal_number: PersonalNumber
    reference: strawberry.ID = strawberry.field(
        description="The transfer system's own key for the student, one per student; all that it gets back."
    )
    leaving_school: str | None = strawberry.field(
        default=None, description="BRIN and branch of the school left."
    )
    until: date | None = strawberry.field(
        default=None,
        description="Inclusive, Europe/Amsterdam; 31 December of the year of the transition if left out.",
    )

    def to_domain(self) -> domain.StudentToFollow:
        """Translate."""
        return domain.StudentToFollow(self.personal_number, self.reference, self.leaving_school, self.until)


@strawberry.input
class FollowStudentsInput:
    """A batch of students."""

    students: list[FollowedStudentInput] = strawberry.field(description="1 to 1,000.")


@strawberry.type
class FollowResult:
    """What became of one wish."""

    reference: strawberry.ID
    outcome: FollowOutcome
    code: RefusalCode | None
    field: str | None = strawberry.field(description="Of FIELD_INVALID.")
    registrations: list[Registration]


@strawberry.type
class FollowStudentsPayload:
    """Results in the order of the students; what they do not show has a number above the feed's position."""

    results: list[FollowResult]
    feed: FeedPosition

    @classmethod
    def from_domain(cls, snapshot: Snapshot, catalogue: CatalogueService) -> Self:
        """Translate."""
        return cls(
            results=[
                FollowResult(
                    reference=strawberry.ID(result.reference),
                    outcome=result.outcome,
                    code=result.code,
                    field=result.field,
                    registrations=[
                        Registration.from_domain(registration, catalogue)
                        for registration in result.registrations
                    ],
                )
                for result in snapshot.results
            ],
            feed=FeedPosition.from_domain(snapshot.feed),
        )


@strawberry.input
class UnfollowStudentsInput:
    """References of students that are no longer followed."""

    references: list[strawberry.ID] = strawberry.field(description="1 to 1,000.")


@strawberry.type
class UnfollowStudentsPayload:
    """Which were followed, and which were not."""

    unfollowed: list[strawberry.ID]
    unknown: list[strawberry.ID]


@strawberry.type(description="What stood for a registration at the end of a day, as it is known now.")
class RegistrationOnDate:
    """A registration with the status that it had."""

    registration: Registration = strawberry.field(description="Its present state.")
    status: RegistrationStatus
    since: datetime
    source: StatusSource

    @classmethod
    def from_domain(cls, standing: domain.Standing, catalogue: CatalogueService) -> Self:
        """Translate."""
        registration = Registration.from_domain(standing.registration, catalogue)
        return cls(
            registration=registration, status=standing.status, since=standing.since, source=standing.source
        )


@strawberry.type(description="A student that the caller follows.")
class FollowedStudent:
    """A followed student, by the caller's own reference."""

    reference: strawberry.ID
    followed_since: datetime
    until: date
    registrations: list[Registration]
    on_date: list[RegistrationOnDate] | None = strawberry.field(
        description="What stood on the day that was asked for with `on`; null: none was."
    )

    @classmethod
    def from_domain(cls, student: domain.FollowedStudent, catalogue: CatalogueService) -> Self:
        """Translate."""
        return cls(
            reference=strawberry.ID(student.reference),
            followed_since=student.followed_since,
            until=student.until,
            registrations=[
                Registration.from_domain(registration, catalogue) for registration in student.registrations
            ],
            on_date=None
            if student.standing is None
            else [RegistrationOnDate.from_domain(one, catalogue) for one in student.standing],
        )


@strawberry.type
class FollowedStudentEdge:
    """Relay's edge."""

    cursor: str
    node: FollowedStudent


@strawberry.type
class FollowedStudentConnection:
    """A page of followed students, in the order of their references."""

    edges: list[FollowedStudentEdge]
    nodes: list[FollowedStudent]
    page_info: PageInfo
