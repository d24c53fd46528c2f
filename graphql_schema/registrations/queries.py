"""Asking for registrations."""

from __future__ import annotations

from operator import attrgetter
from typing import cast
from uuid import UUID

import strawberry

from app.domain.access import Role, Scope
from app.services.registrations import PAGE_AT_MOST, RegistrationFilter
from graphql_schema.context import Info
from graphql_schema.enums import RegistrationStatus
from graphql_schema.execution.calls import unasked
from graphql_schema.pagination import Sealed, check_first, cut, page_info
from graphql_schema.permissions import needs
from graphql_schema.registrations.types import PLACE, Registration, RegistrationConnection
from graphql_schema.scalars import Brin

# Where a page goes on: a transfer system's by its own references, all others by institution.
_BY_REFERENCE = attrgetter("reference", "key")
_BY_BRIN = attrgetter("brin", "key")
_TIMES = {"statusSince": "status_since", "lastConfirmedAt": "last_confirmed_at"}


@strawberry.type
class RegistrationQueries:
    """Registrations that the caller may see; others are null, exactly as those that do not exist."""

    @strawberry.field(metadata=needs(Scope.REGISTRATIONS_READ), description="By the hub's own id.")
    async def registration(self, info: Info, id: strawberry.ID) -> Registration | None:
        """Return one registration or null."""
        context = info.context
        try:
            public_id = UUID(id)
        except ValueError:
            public_id = UUID(int=0)
        found = await context.services.registrations.by_public_id(context.principal, public_id)
        return None if found is None else Registration.seen(found)

    @strawberry.field(metadata=needs(Scope.REGISTRATIONS_READ), description="By institution and aanmeldID.")
    async def registration_by_application_id(
        self, info: Info, brin: Brin, application_id: strawberry.ID
    ) -> Registration | None:
        """Return one registration or null."""
        context = info.context
        found = await context.services.registrations.by_application_id(
            context.principal, brin, application_id
        )
        return None if found is None else Registration.seen(found)

    @strawberry.field(
        metadata=needs(Scope.REGISTRATIONS_READ), description="Pages of 1 to 200, in a stable order."
    )
    async def registrations(
        self,
        info: Info,
        brin: Brin | None = None,
        school_year: int | None = None,
        status: list[RegistrationStatus] | None = None,
        first: int = 50,
        after: str | None = None,
    ) -> RegistrationConnection | None:
        """Return a page of registrations."""
        context = info.context
        size = check_first(first, PAGE_AT_MOST)
        last = None
        if after is not None:
            text, number = context.cursors.open(PLACE, after)
            last = (str(text), int(number))
        wanted = RegistrationFilter(brin, school_year, None if status is None else tuple(status))
        found = await context.services.registrations.page(
            context.principal, wanted, last, size + 1, unasked(info, _TIMES)
        )
        rows, more = cut(found, size)
        key = _BY_REFERENCE if context.principal.role is Role.OS else _BY_BRIN
        cursors = Sealed(context.cursors, PLACE, rows, key)
        return RegistrationConnection(
            nodes=cast("list[Registration]", rows),
            page_info=page_info(cursors, more=more, after=after),
            cursors=cursors,
        )
