"""The caller, as the hub sees it."""

from __future__ import annotations

from datetime import date

import strawberry

from graphql_schema.enums import Role, Scope
from graphql_schema.scalars import Brin


@strawberry.type
class Organisation:
    """An organisation in a role."""

    oin: str
    name: str
    role: Role


@strawberry.type(description="What a SIS vendor may do for an institution.")
class Mandate:
    """A mandate; both dates are inclusive."""

    brin: Brin
    valid_from: date
    valid_to: date | None


@strawberry.type(description="The caller.")
class Viewer:
    """The calling client, its organisation, and what it may do."""

    client_id: strawberry.ID
    organisation: Organisation
    role: Role
    scopes: list[Scope]
    brins: list[Brin] = strawberry.field(description="The institutions that the organisation is itself.")
    region: str | None
    mandates: list[Mandate] = strawberry.field(description="Those of today and later.")
