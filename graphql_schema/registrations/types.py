"""A registration, its institution, its programme, its history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, cast

import strawberry

from app.domain.registration import ChangeKind as DomainChangeKind
from app.domain.seen import HistoryEntry, SeenRegistration
from graphql_schema.context import Info
from graphql_schema.enums import ChangeKind, LearningPath, RegistrationStatus, StatusSource
from graphql_schema.execution.calls import answered_together, unasked
from graphql_schema.pagination import Cursors, PageInfo, Sealed, check_first, cut, page_info
from graphql_schema.scalars import Brin, ProgrammeCode

if TYPE_CHECKING:
    from app.domain import registration as domain
    from app.services.catalogue import CatalogueService

HISTORY_AT_MOST = 200
_TIMES = {"occurredAt": "occurred_at", "recordedAt": "recorded_at"}
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
    """An entry of the history, as it was recorded: the attributes of a HistoryEntry of the domain."""

    kind: ChangeKind
    status: RegistrationStatus
    previous_status: RegistrationStatus | None
    source: StatusSource
    occurred_at: datetime
    recorded_at: datetime

    @strawberry.field(description="It came after something newer and had no effect.")
    def outdated(self) -> bool:
        """Tell whether it had no effect."""
        return self.kind == DomainChangeKind.OUTDATED


@strawberry.type
class StatusHistoryEdge:
    """Relay's edge."""

    cursor: str
    node: StatusHistoryEntry


@strawberry.type
class StatusHistoryConnection:
    """A page of a history, oldest first."""

    nodes: list[StatusHistoryEntry]
    more: strawberry.Private[bool]
    after: strawberry.Private[str | None]
    registration: strawberry.Private[Registration]
    sealing: strawberry.Private[Cursors]

    @strawberry.field
    def edges(self) -> list[StatusHistoryEdge]:
        """Return the nodes with their cursors."""
        return [StatusHistoryEdge(cursor=c, node=n) for c, n in zip(self._cursors(), self.nodes, strict=True)]

    @strawberry.field
    def page_info(self) -> PageInfo:
        """Return where the page stands."""
        return page_info(self._cursors(), more=self.more, after=self.after)

    def _cursors(self) -> Sequence[str]:
        entries = cast("list[HistoryEntry]", self.nodes)
        return Sealed(self.sealing, _history_of(self.registration), entries, lambda entry: (entry.id,))


async def _histories(
    registrations: Sequence[Registration], info: Info, first: int = 50, after: str | None = None
) -> list[StatusHistoryConnection | BaseException]:
    """Return a page of the history of each registration, or the exception in its place."""
    if after is not None and len(registrations) > 1:
        alone = [_histories([one], info, first, after) for one in registrations]
        settled = await asyncio.gather(*alone, return_exceptions=True)
        return [one if isinstance(one, BaseException) else one[0] for one in settled]
    context = info.context
    size = check_first(first, HISTORY_AT_MOST)
    last = 0
    if after is not None:  # a cursor belongs to one registration, so there is one
        last = int(context.cursors.open(_history_of(registrations[0]), after)[0])
    found = await context.services.registrations.histories(
        [one.key for one in registrations], last, size + 1, unasked(info, _TIMES)
    )
    connections: list[StatusHistoryConnection | BaseException] = []
    sealing = context.cursors
    for registration in registrations:
        rows, more = cut(found[registration.key], size)
        nodes = cast("list[StatusHistoryEntry]", rows)
        connections.append(
            StatusHistoryConnection(
                nodes=nodes, more=more, after=after, registration=registration, sealing=sealing
            )
        )
    return connections


def _history_of(registration: Registration) -> str:
    return f"history:{registration.id}"


@strawberry.type(description="Aanmelding: one student's application for one programme for one school year.")
class Registration:
    """A registration in its present state: the attributes of a SeenRegistration of the domain."""

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

    @strawberry.field(
        description="What happened to it, oldest first; late messages without effect included.",
        metadata=answered_together(_histories),
    )
    async def status_history(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> StatusHistoryConnection:
        """Return a page of the history."""
        return await info.context.together(_histories, self, info, first, after)

    @classmethod
    def from_domain(cls, registration: domain.Registration, catalogue: CatalogueService) -> Registration:
        """Translate, with the names that the catalogue has now."""
        return cls.seen(SeenRegistration.of(registration, catalogue.names))

    @staticmethod
    def seen(registration: SeenRegistration) -> Registration:
        """Return what has these attributes already; so thousands need not be copied."""
        return cast("Registration", registration)


@strawberry.type
class RegistrationEdge:
    """Relay's edge."""

    cursors: strawberry.Private[Sequence[str]]
    place: strawberry.Private[int]
    node: Registration

    @strawberry.field
    def cursor(self) -> str:
        """Return the cursor of this edge."""
        return self.cursors[self.place]


@strawberry.type
class RegistrationConnection:
    """A page of registrations."""

    nodes: list[Registration]
    page_info: PageInfo
    cursors: strawberry.Private[Sequence[str]]

    @strawberry.field
    def edges(self) -> list[RegistrationEdge]:
        """Return the nodes with their cursors."""
        return [
            RegistrationEdge(cursors=self.cursors, place=place, node=node)
            for place, node in enumerate(self.nodes)
        ]
