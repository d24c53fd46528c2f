"""Rows of registrations, by what they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import strawberry

from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.cube import UNKNOWN_REGION
from graphql_schema.registrations.types import Institution, Programme
from graphql_schema.scalars import Brin, ProgrammeCode
from graphql_schema.statistics.types import DisclosedCount

if TYPE_CHECKING:
    from app.domain.statistics import Row
    from app.services.catalogue import CatalogueService


@strawberry.interface(description="Registrations made in a school year, annulled ones left out.")
class CountedRegistrations:
    """The figures of a row."""

    registrations: DisclosedCount
    live: DisclosedCount = strawberry.field(description="RECEIVED, OFFERED or ENROLLED.")


@strawberry.type
class RegistrationsInTotal(CountedRegistrations):
    """All of them."""

    @classmethod
    def from_domain(cls, row: Row) -> Self:
        """Translate."""
        return cls(**_both(row))


@strawberry.type
class RegistrationsOfProgramme(CountedRegistrations):
    """Those for one programme."""

    programme: Programme

    @classmethod
    def from_domain(cls, row: Row, catalogue: CatalogueService) -> Self:
        """Translate."""
        return cls(programme=_programme(row.category, catalogue), **_both(row))


@strawberry.type
class RegistrationsOfLearningPath(CountedRegistrations):
    """Those for one learning path."""

    learning_path: LearningPath

    @classmethod
    def from_domain(cls, row: Row) -> Self:
        """Translate."""
        return cls(learning_path=LearningPath(row.category), **_both(row))


@strawberry.type
class RegistrationsOfProgrammeYear(CountedRegistrations):
    """Those for one year of a programme."""

    programme_year: int

    @classmethod
    def from_domain(cls, row: Row) -> Self:
        """Translate."""
        return cls(programme_year=int(row.category), **_both(row))


@strawberry.type
class RegistrationsOfRegion(CountedRegistrations):
    """Those from one region."""

    region: str | None = strawberry.field(
        description="RMC region of the leaving school, else of the institution; null where neither is known."
    )

    @classmethod
    def from_domain(cls, row: Row) -> Self:
        """Translate."""
        return cls(region=None if row.category == UNKNOWN_REGION else row.category, **_both(row))


@strawberry.type
class RegistrationsAtInstitution(CountedRegistrations):
    """Those at one institution."""

    institution: Institution

    @classmethod
    def from_domain(cls, row: Row, catalogue: CatalogueService) -> Self:
        """Translate."""
        return cls(institution=institution_of(row.category, catalogue), **_both(row))


@strawberry.type
class RegistrationsInWeek:
    """Those that the hub first heard of in one week."""

    week: str = strawberry.field(description="ISO week in Europe/Amsterdam: `2026-W14`.")
    registrations: DisclosedCount

    @classmethod
    def from_domain(cls, row: Row) -> Self:
        """Translate."""
        return cls(week=row.category, registrations=DisclosedCount.from_domain(row.registrations))


@strawberry.type
class RegistrationsInStatus:
    """Those with one status from one source."""

    status: Status
    source: StatusSource = strawberry.field(description="Where the present status came from.")
    registrations: DisclosedCount

    @classmethod
    def from_domain(cls, row: Row) -> Self:
        """Translate."""
        source, status = row.category.split()
        return cls(
            source=StatusSource(source),
            status=Status(status),
            registrations=DisclosedCount.from_domain(row.registrations),
        )


def institution_of(brin: str, catalogue: CatalogueService) -> Institution:
    """Return an institution as the catalogue has it."""
    found = catalogue.institution(brin)
    return Institution(brin=Brin(found.brin), name=found.name)


def _programme(code: str, catalogue: CatalogueService) -> Programme:
    found = catalogue.programme(code)
    return Programme(code=ProgrammeCode(found.code), name=found.name, level=found.level)


def _both(row: Row) -> dict[str, DisclosedCount]:
    live = row.registrations if row.live is None else row.live
    return {
        "registrations": DisclosedCount.from_domain(row.registrations),
        "live": DisclosedCount.from_domain(live),
    }
