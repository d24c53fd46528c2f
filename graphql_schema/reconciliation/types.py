"""Digests, lists and differences."""

from __future__ import annotations

from typing import Self

import strawberry

from app.domain import reconciliation as domain
from graphql_schema.enums import RegistrationDifference, RegistrationStatus
from graphql_schema.scalars import Brin, ProgrammeCode


@strawberry.type(description="Count and digest of the registrations below a prefix.")
class PrefixDigest:
    """What a prefix comes to."""

    prefix: str = strawberry.field(
        description="Of the SHA-256 of the application id, in hexadecimal; empty for all."
    )
    count: int
    digest: str = strawberry.field(
        description="SHA-256 of a line for each registration, in the order of their hashes: hash, space, "
        "status, line feed."
    )

    @classmethod
    def from_domain(cls, digest: domain.PrefixDigest) -> Self:
        """Translate."""
        return cls(prefix=digest.prefix, count=digest.count, digest=digest.digest)


@strawberry.type(description="A prefix, and what stands below it.")
class RegistrationDigest(PrefixDigest):
    """A prefix with its children."""

    children: list[PrefixDigest] = strawberry.field(
        description="The prefixes with two digits more, 256 at most; those that hold nothing are left out."
    )

    @classmethod
    def of_domain(cls, digest: domain.RegistrationDigest) -> Self:
        """Translate."""
        return cls(
            prefix=digest.whole.prefix,
            count=digest.whole.count,
            digest=digest.whole.digest,
            children=[PrefixDigest.from_domain(child) for child in digest.children],
        )


@strawberry.input(description="A registration as the sender has it; each is judged for itself.")
class ListedRegistrationInput:
    """One item of a list. What is left out is not compared."""

    application_id: strawberry.ID
    status: str = strawberry.field(description="A RegistrationStatus, or its code: AO, OA, LI, AI, LNI.")
    programme_code: ProgrammeCode | None = None
    learning_path: str | None = strawberry.field(default=None, description="A LearningPath.")
    programme_year: int | None = None

    def to_domain(self) -> domain.ListedRegistration:
        """Translate."""
        return domain.ListedRegistration(
            self.application_id, self.status, self.programme_code, self.learning_path, self.programme_year
        )


@strawberry.input(description="All that the sender has of an institution and school year, below a prefix.")
class CompareRegistrationsInput:
    """A list to compare."""

    brin: Brin
    school_year: int
    prefix: str = strawberry.field(default="", description="Up to 8 hexadecimal digits, in small letters.")
    registrations: list[ListedRegistrationInput] = strawberry.field(description="Up to 1,000, also none.")

    def to_part(self) -> domain.Part:
        """Translate what is compared."""
        return domain.Part(self.brin, self.school_year, self.prefix)


@strawberry.type(description="One registration in which the two sides differ.")
class DifferentRegistration:
    """A difference."""

    application_id: strawberry.ID
    difference: RegistrationDifference
    position: int | None = strawberry.field(
        description="Its place in the list, from 0; null of MISSING_AT_SENDER."
    )
    status: RegistrationStatus | None = strawberry.field(description="At the hub, as far as you may see it.")
    field: str | None = strawberry.field(description="Of OTHER_DATA what differs, of INVALID what is wrong.")

    @classmethod
    def from_domain(cls, one: domain.DifferentRegistration) -> Self:
        """Translate."""
        return cls(
            application_id=strawberry.ID(one.application_id),
            difference=one.difference,
            position=one.position,
            status=one.status,
            field=one.field,
        )


@strawberry.type(description="What a comparison found. Nothing is changed by it.")
class RegistrationComparison:
    """The differences of one list."""

    equal: int = strawberry.field(description="How many items of the list the hub holds alike.")
    differences: list[DifferentRegistration] = strawberry.field(
        description="Of the list in its order, then what it lacks."
    )

    @classmethod
    def from_domain(cls, comparison: domain.Comparison) -> Self:
        """Translate."""
        return cls(
            equal=comparison.equal,
            differences=[DifferentRegistration.from_domain(one) for one in comparison.differences],
        )
