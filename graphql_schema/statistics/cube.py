"""The tables of the cube, and how a region is covered."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import strawberry

from app.domain.disclosure.publishing import TableName
from graphql_schema.registrations.types import Institution
from graphql_schema.statistics.rows import (
    RegistrationsAtInstitution,
    RegistrationsInStatus,
    RegistrationsInTotal,
    RegistrationsInWeek,
    RegistrationsOfLearningPath,
    RegistrationsOfProgramme,
    RegistrationsOfProgrammeYear,
    RegistrationsOfRegion,
    institution_of,
)
from graphql_schema.statistics.types import DisclosedCount

if TYPE_CHECKING:
    from app.domain import statistics as domain
    from app.services.catalogue import CatalogueService


@strawberry.type(
    description="Aanmeldingen by what they are for. Tables have no row for what did not occur, nor where even"
    " its name would tell."
)
class RegistrationStatistics:
    """The tables of an institution, or national ones, in one school year."""

    as_of: datetime = strawberry.field(description="The snapshot that the figures come from.")
    institution: Institution | None = strawberry.field(description="Null for national.")
    school_year: int
    total: RegistrationsInTotal
    by_programme: list[RegistrationsOfProgramme]
    by_learning_path: list[RegistrationsOfLearningPath]
    by_programme_year: list[RegistrationsOfProgrammeYear]
    by_week: list[RegistrationsInWeek]
    by_status: list[RegistrationsInStatus]
    by_region: list[RegistrationsOfRegion]
    by_institution: list[RegistrationsAtInstitution] = strawberry.field(description="National only.")

    @classmethod
    def from_domain(cls, found: domain.RegistrationStatistics, catalogue: CatalogueService) -> Self:
        """Translate."""
        rows = found.tables
        return cls(
            as_of=found.as_of,
            institution=None if found.brin is None else institution_of(found.brin, catalogue),
            school_year=found.school_year,
            total=RegistrationsInTotal.from_domain(found.total),
            by_programme=[
                RegistrationsOfProgramme.from_domain(row, catalogue)
                for row in rows.get(TableName.PROGRAMME, ())
            ],
            by_learning_path=[
                RegistrationsOfLearningPath.from_domain(row) for row in rows.get(TableName.LEARNING_PATH, ())
            ],
            by_programme_year=[
                RegistrationsOfProgrammeYear.from_domain(row)
                for row in rows.get(TableName.PROGRAMME_YEAR, ())
            ],
            by_week=[RegistrationsInWeek.from_domain(row) for row in rows.get(TableName.WEEK, ())],
            by_status=[RegistrationsInStatus.from_domain(row) for row in rows.get(TableName.STATUS, ())],
            by_region=[RegistrationsOfRegion.from_domain(row) for row in rows.get(TableName.REGION, ())],
            by_institution=[
                RegistrationsAtInstitution.from_domain(row, catalogue)
                for row in rows.get(TableName.INSTITUTION, ())
            ],
        )


@strawberry.type(
    description="How students who apply are followed by transfer systems, also in regions that have none."
)
class Coverage:
    """A region in one school year."""

    as_of: datetime = strawberry.field(description="The snapshot that the figures come from.")
    region: str
    school_year: int
    followed: DisclosedCount = strawberry.field(
        description="Students of the region with a registration, followed by some transfer system at some"
        " time since 1 October of the year before."
    )
    not_followed: DisclosedCount
    silent_institutions: list[Institution] = strawberry.field(
        description="Institutions of the region about which no message came in the last 14 days. An"
        " institution is no person, so these are named."
    )

    @classmethod
    def from_domain(cls, found: domain.Coverage, catalogue: CatalogueService) -> Self:
        """Translate."""
        return cls(
            as_of=found.as_of,
            region=found.region,
            school_year=found.school_year,
            followed=DisclosedCount.from_domain(found.followed),
            not_followed=DisclosedCount.from_domain(found.not_followed),
            silent_institutions=[institution_of(brin, catalogue) for brin in found.silent],
        )
