"""The tables of the cube, and how a region is covered."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import strawberry

from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.cube import UNKNOWN_REGION
from app.domain.disclosure.publishing import TableName
from graphql_schema.registrations.types import Institution, Programme
from graphql_schema.scalars import Brin, ProgrammeCode
from graphql_schema.statistics.types import DisclosedCount

if TYPE_CHECKING:
    from app.domain import statistics as domain
    from app.services.catalogue import CatalogueService


@strawberry.interface(description="Registrations made in a school year, annulled ones left out.")
class CountedRegistrations:
    """The figures of a row."""

    registrations: DisclosedCount
    live: DisclosedCount = strawberry.field(description="RECEIVED, OFFERED or ENROLLED.")


@strawberry.type
class RegistrationsInTotal(CountedRegistrations):
    """All of them."""


@strawberry.type
class RegistrationsOfProgramme(CountedRegistrations):
    """Those for one programme."""

    programme: Programme


@strawberry.type
class RegistrationsOfLearningPath(CountedRegistrations):
    """Those for one learning path."""

    learning_path: LearningPath


@strawberry.type
class RegistrationsOfProgrammeYear(CountedRegistrations):
    """Those for one year of a programme."""

    programme_year: int


@strawberry.type
class RegistrationsOfRegion(CountedRegistrations):
    """Those from one region."""

    region: str | None = strawberry.field(
        description="RMC region of the leaving school, else of the institution; null where neither is known."
    )


@strawberry.type
class RegistrationsAtInstitution(CountedRegistrations):
    """Those at one institution."""

    institution: Institution


@strawberry.type
class RegistrationsInWeek:
    """Those that the hub first heard of in one week."""

    week: str = strawberry.field(description="ISO week in Europe/Amsterdam: `2026-W14`.")
    registrations: DisclosedCount


@strawberry.type
class RegistrationsInStatus:
    """Those with one status from one source."""

    status: Status
    source: StatusSource = strawberry.field(description="Where the present status came from.")
    registrations: DisclosedCount


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
        rows = {name: [_Row(row) for row in found.tables.get(name, ())] for name in TableName}
        return cls(
            as_of=found.as_of,
            institution=None if found.brin is None else _institution(found.brin, catalogue),
            school_year=found.school_year,
            total=RegistrationsInTotal(**_Row(found.total).both()),
            by_programme=[
                RegistrationsOfProgramme(programme=_programme(row.category, catalogue), **row.both())
                for row in rows[TableName.PROGRAMME]
            ],
            by_learning_path=[
                RegistrationsOfLearningPath(learning_path=LearningPath(row.category), **row.both())
                for row in rows[TableName.LEARNING_PATH]
            ],
            by_programme_year=[
                RegistrationsOfProgrammeYear(programme_year=int(row.category), **row.both())
                for row in rows[TableName.PROGRAMME_YEAR]
            ],
            by_week=[
                RegistrationsInWeek(week=row.category, registrations=row.registrations)
                for row in rows[TableName.WEEK]
            ],
            by_status=[
                RegistrationsInStatus(
                    source=StatusSource(row.category.split()[0]),
                    status=Status(row.category.split()[1]),
                    registrations=row.registrations,
                )
                for row in rows[TableName.STATUS]
            ],
            by_region=[
                RegistrationsOfRegion(
                    region=None if row.category == UNKNOWN_REGION else row.category, **row.both()
                )
                for row in rows[TableName.REGION]
            ],
            by_institution=[
                RegistrationsAtInstitution(institution=_institution(row.category, catalogue), **row.both())
                for row in rows[TableName.INSTITUTION]
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
            silent_institutions=[_institution(brin, catalogue) for brin in found.silent],
        )


class _Row:
    """A row with its figures translated."""

    def __init__(self, row: domain.Row) -> None:
        self.category = row.category
        self.registrations = DisclosedCount.from_domain(row.registrations)
        self._live = row.live

    def both(self) -> dict[str, DisclosedCount]:
        live = self.registrations if self._live is None else DisclosedCount.from_domain(self._live)
        return {"registrations": self.registrations, "live": live}


def _institution(brin: str, catalogue: CatalogueService) -> Institution:
    found = catalogue.institution(brin)
    return Institution(brin=Brin(found.brin), name=found.name)


def _programme(code: str, catalogue: CatalogueService) -> Programme:
    found = catalogue.programme(code)
    return Programme(code=ProgrammeCode(found.code), name=found.name, level=found.level)
