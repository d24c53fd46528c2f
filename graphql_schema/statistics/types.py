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


@strawberry.type(
    description="A count, suppressed where it could tell on somebody. Counts that tell of other applications"
    " of the same students stand still until no difference between two days tells on anybody; `asOf` is"
    " their own."
)
class DisclosedCount:
    """A count as it may be shown."""

    value: int | None = strawberry.field(description="Exact; null where suppressed.")
    suppressed: bool
    display: str = strawberry.field(
        description="The value; `<5` where it is below the threshold; `–` where it would tell another figure."
    )
    as_of: datetime = strawberry.field(description="The moment that this figure is of.")

    @classmethod
    def from_domain(cls, count: domain.DisclosedCount) -> Self:
        """Translate."""
        return cls(value=count.value, suppressed=count.suppressed, display=count.display, as_of=count.as_of)


@strawberry.type(
    description="An estimate with its interval of 95 %. Where earlier school years are known, it goes by what"
    " became of registrations like these: same number of live registrations of the student, same status, as"
    " many weeks to 1 October. Else each student is one enrolment, shared over the student's live"
    " registrations by weight of status."
)
class DisclosedEstimate:
    """An estimate as it may be shown."""

    value: float | None
    low: float | None
    high: float | None
    suppressed: bool
    display: str
    as_of: datetime = strawberry.field(description="The moment that this estimate is of.")
    school_years: int | None = strawberry.field(
        description="How many earlier school years it builds on; 0: none, the rule; null where suppressed."
    )

    @classmethod
    def from_domain(cls, estimate: domain.DisclosedEstimate) -> Self:
        """Translate."""
        return cls(
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            suppressed=estimate.suppressed,
            display=estimate.display,
            as_of=estimate.as_of,
            school_years=estimate.school_years,
        )


@strawberry.interface(description="Counts of registrations of one school year.")
class Figures:
    """The figures of one cell."""

    registrations: DisclosedCount = strawberry.field(description="Made in that year; annulled ones left out.")
    live: DisclosedCount = strawberry.field(description="RECEIVED, OFFERED or ENROLLED.")
    multiple: DisclosedCount = strawberry.field(
        description="Made by a student with two or more, wherever in the country."
    )
    multiple_live: DisclosedCount = strawberry.field(
        description="Live, of a student with two or more live ones."
    )
    students: DisclosedCount = strawberry.field(description="Different students behind the registrations.")
    expected_enrolments: DisclosedEstimate = strawberry.field(
        description="How many of the live registrations become enrolments on 1 October. Made from the counts "
        "beside it, so those of programmes do not add up to that of all."
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


@strawberry.type
class StudentsByLiveRegistrations:
    """Students by how many live registrations they have."""

    live_registrations: int = strawberry.field(description="1, 2, 3, or 4: four and more.")
    students: DisclosedCount

    @classmethod
    def from_domain(cls, one: domain.StudentsOf) -> Self:
        """Translate."""
        return cls(live_registrations=int(one.category), students=DisclosedCount.from_domain(one.students))


@strawberry.type
class StudentsAlsoAt:
    """Students that another institution knows too."""

    institution: Institution
    students: DisclosedCount

    @classmethod
    def from_domain(cls, one: domain.StudentsOf, catalogue: CatalogueService) -> Self:
        """Translate."""
        institution = catalogue.institution(one.category)
        return cls(
            institution=Institution(brin=Brin(institution.brin), name=institution.name),
            students=DisclosedCount.from_domain(one.students),
        )


@strawberry.type(description="Meervoudige aanmeldingen: registrations that are one of several of a student.")
class MultipleRegistrationStatistics:
    """The figures of an institution, or national, in one school year."""

    as_of: datetime = strawberry.field(description="The snapshot that the figures come from.")
    institution: Institution | None = strawberry.field(description="Null for national.")
    school_year: int
    total: MultipleRegistrationTotal
    by_programme: list[MultipleRegistrationsOfProgramme]
    by_live_registrations: list[StudentsByLiveRegistrations] = strawberry.field(
        description="Students with a live registration here, by how many they have in the country."
    )
    overlap: list[StudentsAlsoAt] = strawberry.field(
        description="Students with a live registration here who have one at another institution too. A"
        " student counts at each. Others than these may share fewer students, or too many to be told."
    )

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
            by_live_registrations=[
                StudentsByLiveRegistrations.from_domain(one) for one in statistics.by_live_registrations
            ],
            overlap=[StudentsAlsoAt.from_domain(one, catalogue) for one in statistics.overlap],
        )
