"""The message log as an institution may see it, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.message_log import LoggedMessageOverview
from app.domain.status_message import Outcome, Refusal

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    import asyncpg

# Messages of one batch have one moment, so the place decides between them.
_ACCEPTED_PLACE = """(m.organisation_id || '/' || m.message_id) collate "C\""""
_REFUSED_PLACE = """(m.organisation_id || '/' || m.message_id || '/' || m.id) collate "C\""""


def _some(table: str, place: str, code: str, outcome: str) -> str:
    return f"""(
  select m.brin, m.message_id, m.organisation_id, m.received_at, {outcome} as outcome, {code} as code,
         {place} as place
  from {table} m
  where m.brin = wanted.brin
    and ($2::timestamptz is null or (m.received_at <= $2 and (m.received_at < $2 or {place} < $3)))
  order by m.received_at desc, place desc limit $4
)"""


_PAGE = f"""
select found.*, o.name as sender
from unnest($1::text[]) as wanted (brin)
cross join lateral (
  {_some("status_message", _ACCEPTED_PLACE, "null", "m.outcome")}
  union all
  {_some("refused_message", _REFUSED_PLACE, "m.code", "'REFUSED'")}
) found
join organisation o on o.id = found.organisation_id
order by found.received_at desc, found.place desc limit $4
"""


class MessageLog:
    """Messages by institution."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def page(
        self, brins: Collection[str], before: tuple[datetime, str] | None, size: int
    ) -> list[LoggedMessageOverview]:
        """Return up to `size` messages of these institutions, newest first, older than a key."""
        moment, place = before or (None, "")
        rows = await self._connection.fetch(_PAGE, sorted(brins), moment, place, size)
        return [
            LoggedMessageOverview(
                row["brin"],
                row["message_id"],
                row["sender"],
                row["received_at"],
                Outcome(row["outcome"]),
                None if row["code"] is None else Refusal(row["code"]),
                row["place"],
            )
            for row in rows
        ]
