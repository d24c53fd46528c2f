"""Asking who one is."""

from __future__ import annotations

import strawberry

from graphql_schema.context import Info
from graphql_schema.permissions import needs
from graphql_schema.scalars import Brin
from graphql_schema.viewer.types import Mandate, Organisation, Viewer


@strawberry.type
class ViewerQueries:
    """The caller."""

    @strawberry.field(metadata=needs(None), description="Client, organisation, role, scopes, mandates.")
    async def viewer(self, info: Info) -> Viewer | None:
        """Return the caller."""
        principal = info.context.principal
        mandates = await info.context.services.clients.mandates(principal.organisation_id)
        return Viewer(
            client_id=strawberry.ID(principal.client_id),
            organisation=Organisation(
                oin=principal.oin, name=principal.organisation_name, role=principal.role
            ),
            role=principal.role,
            scopes=sorted(principal.scopes),
            brins=[Brin(brin) for brin in sorted(principal.brins)],
            region=principal.region,
            mandates=[
                Mandate(brin=Brin(one.brin), valid_from=one.valid_from, valid_to=one.valid_to)
                for one in mandates
            ],
        )
