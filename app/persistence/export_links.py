"""Links to exports: made, and taken once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.export import ExportFormat, ExportRequest
from app.domain.following import FollowedFilter

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

_PURGE = "delete from export_link where expires_at <= $1"
_ADD = """
insert into export_link (secret_hash, client_id, organisation_id, expires_at, format, school_year,
                         without_live_registration, on_date)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
# Of two that come at the same moment one finds the row.
_TAKE = """
delete from export_link
where secret_hash = $1 and client_id = $2 and organisation_id = $3 and expires_at > $4
returning format, school_year, without_live_registration, on_date
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
        request: ExportRequest,
        now: datetime,
    ) -> None:
        """Keep a link for its owner (client and organisation), and forget those that have expired."""
        wanted = request.wanted
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
        )

    async def take(self, secret_hash: bytes, owner: tuple[str, int], now: datetime) -> ExportRequest | None:
        """Return what an open link of this owner is to, and end the link."""
        row = await self._connection.fetchrow(_TAKE, secret_hash, *owner, now)
        if row is None:
            return None
        wanted = FollowedFilter(row["school_year"], row["without_live_registration"], row["on_date"])
        return ExportRequest(wanted, ExportFormat(row["format"]))
