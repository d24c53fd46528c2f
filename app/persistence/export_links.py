"""Links to exports: made, and taken once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.export import ExportFormat, ExportRequest, OverviewRequest
from app.domain.following import FollowedFilter

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    import asyncpg

    from app.domain.access import Scope
    from app.domain.export import AnyExport

_PURGE = "delete from export_link where expires_at <= $1"
_ADD = """
insert into export_link (secret_hash, client_id, organisation_id, expires_at, format, school_year,
                         without_live_registration, on_date, overview_of)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
# Of two that come at the same moment one finds the row.
_TAKE = """
delete from export_link
where secret_hash = $1 and client_id = $2 and organisation_id = $3 and expires_at > $4
  and case when overview_of is null then $5::boolean else $6::boolean end
returning format, school_year, without_live_registration, on_date, overview_of
"""


class ExportLinks:
    """Links in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def add(
        self,
        secret_hash: bytes,
        owner: tuple[str, int],
        expires_at: datetime,
        request: AnyExport,
        now: datetime,
    ) -> None:
        """Keep a link for its owner (client and organisation), and forget those that have expired."""
        wanted = request.wanted if isinstance(request, ExportRequest) else FollowedFilter()
        await self._connection.execute(_PURGE, now)
        await self._connection.execute(
            _ADD,
            secret_hash,
            *owner,
            expires_at,
            request.format,
            wanted.school_year,
            wanted.without_live_registration,
            wanted.on,
            request.school_year if isinstance(request, OverviewRequest) else None,
        )

    async def take(
        self, secret_hash: bytes, owner: tuple[str, int], now: datetime, scopes: Collection[Scope]
    ) -> AnyExport | None:
        """Return what an open link of this owner is to, and end it; only what these scopes are for."""
        may = [kind.scope in scopes for kind in (ExportRequest, OverviewRequest)]
        row = await self._connection.fetchrow(_TAKE, secret_hash, *owner, now, *may)
        if row is None:
            return None
        if row["overview_of"] is not None:
            return OverviewRequest(row["overview_of"], ExportFormat(row["format"]))
        wanted = FollowedFilter(row["school_year"], row["without_live_registration"], row["on_date"])
        return ExportRequest(wanted, ExportFormat(row["format"]))
