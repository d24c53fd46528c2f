"""Figures as they may be shown."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import strawberry

from graphql_schema.registrations.types import Institution, Programme
from graphql_schema.scalars import Brin, ProgrammeCode

if TYPE_CHECKING:
    from app.domain import statistics as domain
    from app.services.catalogue import CatalogueService


@strawberry.type(description="A count; suppressed where it could tell on somebody.")
class DisclosedCount:
    """A count as it may be shown."""

    value: int | None
    suppressed: bool
    display: str

    @classmethod
    def from_domain(cls, count: domain.DisclosedCount) -> Self:
        """Translate."""
        return cls(value=count.value, suppressed=count.suppressed, display=count.display)


@strawberry.type(description="An estimate with its interval of 95 %.")
class DisclosedEstimate:
    """An estimate as it may be shown."""

    value: float | None
    low: float | None
    high: float | None
    suppressed: bool
    display: str

    @classmethod
    def from_domain(cls, estimate: domain.DisclosedEstimate) -> Self:
        """Translate."""
        return cls(
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            suppressed=estimate.suppressed,
            display=estimate.display,
        )


@strawberry.interface(description="Counts of registrations of one school year.")
class Figures:
    """The figures of one cell."""

    registrations: DisclosedCount = strawberry.field(description="Made in that year; annulled ones left out.")
    live: DisclosedCount = strawberry.field(description="RECEIVED, OFFERED or ENROLLED.")
    multiple: DisclosedCount = strawberry.field(description="Made by a student with two or more.")
    multiple_live: DisclosedCount = strawberry.field(
        description="Live, of a student with two or more live ones."
    )
    students: DisclosedCount
    expected_enrolments: DisclosedEstimate = strawberry.field(
        description="One chance per student, shared over the live registrations by weight of status."
    )


@strawberry.type
class MultipleRegistrationTotal(Figures):
    """The figures of all programmes together."""

    @classmethod
    def from_domain(cls, figures: domain.DisclosedFigures) -> Self:
        """Translate."""
        return cls(
            registrations=DisclosedCount.from_domain(figures.registrations),
            live=DisclosedCount.from_domain(figures.live),
            multiple=DisclosedCount.from_domain(figures.multiple),
            multiple_live=DisclosedCount.from_domain(figures.multiple_live),
            students=DisclosedCount.from_domain(figures.students),
            expected_enrolments=DisclosedEstimate.from_domain(figures.expected_enrolments),
        )


@strawberry.type
class MultipleRegistrationsOfProgramme(Figures):
    """The figures of one programme."""

    programme: Programme

    @classmethod
    def from_domain(cls, figures: domain.DisclosedFigures, catalogue: CatalogueService) -> Self:
        """Translate."""
        programme = catalogue.programme(figures.programme_code)
        return cls(
            registrations=DisclosedCount.from_domain(figures.registrations),
            live=DisclosedCount.from_domain(figures.live),
            multiple=DisclosedCount.from_domain(figures.multiple),
            multiple_live=DisclosedCount.from_domain(figures.multiple_live),
            students=DisclosedCount.from_domain(figures.students),
            expected_enrolments=DisclosedEstimate.from_domain(figures.expected_enrolments),
            programme=Programme(
                code=ProgrammeCode(programme.code), name=programme.name, level=programme.level
            ),
        )


@strawberry.type(description="Meervoudige aanmeldingen: registrations that are one of several of a student.")
class MultipleRegistrationStatistics:
    """The figures of an institution, or national, in one school year."""

    as_of: datetime = strawberry.field(description="The snapshot that the figures come from.")
    institution: Institution | None = strawberry.field(description="Null for national.")
    school_year: int
    total: MultipleRegistrationTotal
    by_programme: list[MultipleRegistrationsOfProgramme]

    @classmethod
    def from_domain(
        cls, statistics: domain.MultipleRegistrationStatistics, catalogue: CatalogueService
    ) -> Self:
        """Translate."""
        institution = None if statistics.brin is None else catalogue.institution(statistics.brin)
        return cls(
            as_of=statistics.as_of,
            institution=None
            if institution is None
            else Institution(brin=Brin(institution.brin), name=institution.name),
            school_year=statistics.school_year,
            total=MultipleRegistrationTotal.from_domain(statistics.total),
            by_programme=[
                MultipleRegistrationsOfProgramme.from_domain(figures, catalogue)
                for figures in statistics.by_programme
            ],
        )
