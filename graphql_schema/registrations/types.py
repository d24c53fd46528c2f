"""A registration, its institution, its programme, its history."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import strawberry

from app.domain.registration import ChangeKind as DomainChangeKind
from graphql_schema.context import Info
from graphql_schema.enums import ChangeKind, LearningPath, RegistrationStatus, StatusSource
from graphql_schema.pagination import PageInfo, check_first, cut, page_info
from graphql_schema.scalars import Brin, ProgrammeCode

if TYPE_CHECKING:
    from app.domain.registration import Registration as DomainRegistration
    from app.persistence.events import HistoryEntry
    from app.services.catalogue import CatalogueService

HISTORY_AT_MOST = 200
PLACE = "registrations"  # what the cursors of these pages are bound to


@strawberry.type(description="Mbo-instelling.")
class Institution:
    """An institution by its BRIN."""

    brin: Brin
    name: str


@strawberry.type(description="Opleiding. Name and level are null while the catalogue does not know the code.")
class Programme:
    """A programme by its code."""

    code: ProgrammeCode
    name: str | None
    level: int | None


@strawberry.type(description="One thing that happened to a registration.")
class StatusHistoryEntry:
    """An entry of the history, as it was recorded."""

    kind: ChangeKind
    status: RegistrationStatus
    previous_status: RegistrationStatus | None
    source: StatusSource
    occurred_at: datetime
    recorded_at: datetime
    outdated: bool = strawberry.field(description="It came after something newer and had no effect.")

    @classmethod
    def from_domain(cls, entry: HistoryEntry) -> Self:
        """Translate."""
        return cls(
            kind=entry.kind,
            status=entry.status,
            previous_status=entry.previous_status,
            source=entry.source,
            occurred_at=entry.occurred_at,
            recorded_at=entry.recorded_at,
            outdated=entry.kind is DomainChangeKind.OUTDATED,
        )


@strawberry.type
class StatusHistoryEdge:
    """Relay's edge."""

    cursor: str
    node: StatusHistoryEntry


@strawberry.type
class StatusHistoryConnection:
    """A page of a history, oldest first."""

    edges: list[StatusHistoryEdge]
    nodes: list[StatusHistoryEntry]
    page_info: PageInfo


@strawberry.type(description="Aanmelding: one student's application for one programme for one school year.")
class Registration:
    """A registration in its present state."""

    key: strawberry.Private[int]
    id: strawberry.ID = strawberry.field(description="The hub's own, opaque.")
    application_id: strawberry.ID = strawberry.field(description="aanmeldID")
    reference: strawberry.ID | None = strawberry.field(
        description="The calling transfer system's key of the student; null for other callers."
    )
    institution: Institution
    programme: Programme
    learning_path: LearningPath
    school_year: int = strawberry.field(description="2026 is 2026/2027.")
    programme_year: int
    status: RegistrationStatus
    status_since: datetime = strawberry.field(
        description="occurredAt of the message that brought the status."
    )
    status_source: StatusSource
    last_confirmed_at: datetime = strawberry.field(
        description="When the hub last heard of it, changed or confirmed."
    )
    annulled: bool = strawberry.field(description="Annulled by a correction; then only its sender sees it.")

    @strawberry.field(description="What happened to it, oldest first; late messages without effect included.")
    async def status_history(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> StatusHistoryConnection:
        """Return a page of the history."""
        context = info.context
        place = f"history:{self.id}"
        last = 0 if after is None else int(context.cursors.open(place, after)[0])
        size = check_first(first, HISTORY_AT_MOST)
        rows, more = cut(await context.histories.load(self.key, last, size + 1), size)
        nodes = [StatusHistoryEntry.from_domain(row) for row in rows]
        cursors = [context.cursors.seal(place, row.id) for row in rows]
        return StatusHistoryConnection(
            edges=[StatusHistoryEdge(cursor=c, node=n) for c, n in zip(cursors, nodes, strict=True)],
            nodes=nodes,
            page_info=page_info(cursors, more=more, after=after),
        )

    @classmethod
    def from_domain(cls, registration: DomainRegistration, catalogue: CatalogueService) -> Self:
        """Translate, with the names that the catalogue has now."""
        institution = catalogue.institution(registration.brin)
        programme = catalogue.programme(registration.programme_code)
        reference = registration.reference
        return cls(
            key=registration.id,
            id=strawberry.ID(str(registration.public_id)),
            application_id=strawberry.ID(registration.application_id),
            reference=None if reference is None else strawberry.ID(reference),
            institution=Institution(brin=Brin(institution.brin), name=institution.name),
            programme=Programme(
                code=ProgrammeCode(programme.code), name=programme.name, level=programme.level
            ),
            learning_path=registration.learning_path,
            school_year=registration.school_year,
            programme_year=registration.programme_year,
            status=registration.status,
            status_since=registration.status_since,
            status_source=registration.status_source,
            last_confirmed_at=registration.last_confirmed_at,
            annulled=registration.annulled_by is not None,
        )


@strawberry.type
class RegistrationEdge:
    """Relay's edge."""

    key: strawberry.Private[tuple[str, int]]
    node: Registration

    @strawberry.field
    def cursor(self, info: Info) -> str:
        """Return the cursor of this edge."""
        return info.context.cursors.seal(PLACE, *self.key)


@strawberry.type
class RegistrationConnection:
    """A page of registrations."""

    keys: strawberry.Private[list[tuple[str, int]]]
    nodes: list[Registration]
    page_info: PageInfo

    @strawberry.field
    def edges(self) -> list[RegistrationEdge]:
        """Return the nodes with their cursors."""
        return [RegistrationEdge(key=key, node=node) for key, node in zip(self.keys, self.nodes, strict=True)]
