"""The annual overview as clients see it."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Self

import strawberry

from app.domain.annual_overview import day_of
from app.domain.disclosure.publishing import TableName
from graphql_schema.statistics.rows import (
    RegistrationsAtInstitution,
    RegistrationsInTotal,
    RegistrationsOfProgramme,
    RegistrationsOfRegion,
)

if TYPE_CHECKING:
    from app.domain import annual_overview as domain
    from app.services.catalogue import CatalogueService


@strawberry.type(
    description="The country's registrations of a school year, as `registrationStatistics` had them on 1"
    " October of that year, or first after it until 31 December. Kept for good: later changes, corrections"
    " and removals do not change it."
)
class AnnualOverview:
    """National, over all registrations."""

    as_of: datetime = strawberry.field(description="The snapshot that was kept.")
    school_year: int
    day: date = strawberry.field(description="1 October of the school year.")
    total: RegistrationsInTotal
    by_institution: list[RegistrationsAtInstitution]
    by_programme: list[RegistrationsOfProgramme]
    by_region: list[RegistrationsOfRegion]

    @classmethod
    def from_domain(cls, found: domain.AnnualOverview, catalogue: CatalogueService) -> Self:
        """Translate."""
        return cls(
            as_of=found.as_of,
            school_year=found.school_year,
            day=day_of(found.school_year),
            total=RegistrationsInTotal.from_domain(found.total),
            by_institution=[
                RegistrationsAtInstitution.from_domain(row, catalogue)
                for row in found.tables[TableName.INSTITUTION]
            ],
            by_programme=[
                RegistrationsOfProgramme.from_domain(row, catalogue)
                for row in found.tables[TableName.PROGRAMME]
            ],
            by_region=[RegistrationsOfRegion.from_domain(row) for row in found.tables[TableName.REGION]],
        )
