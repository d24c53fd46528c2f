"""What clients have used of what they may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import asyncpg

    from app.domain.rates import QuotaKind, Rate, RateKind

# In the order of the key, so that processes do not wait for each other in a circle.
_SETTLE = """
insert into rate_bucket as b (client_id, kind, tokens, at)
select client_id, $2, greatest(-$5::float8, $5 - spent), clock_timestamp()
from unnest($1::text[], $3::float8[]) as s (client_id, spent) order by client_id
on conflict (client_id, kind) do update set
    tokens = greatest(-$5, least($5, b.tokens
        + $4::float8 * greatest(0, extract(epoch from clock_timestamp() - b.at)::float8))
        - ($5 - excluded.tokens)),
    at = clock_timestamp()
returning client_id, tokens
"""
_COUNT = """
insert into quota_use as q (client_id, kind, since, used) values ($1, $2, $3, $4)
on conflict (client_id, kind, since) do update set used = q.used + excluded.used
returning used, (
    select coalesce(max(e.used), 0) from quota_use e where e.client_id = $1 and e.kind = $2 and e.since < $3
) as most_before
"""
_PURGE = "delete from quota_use where since < $1"


@dataclass(frozen=True, slots=True)
class Use:
    """How often in this window, this time included, and the most in any window before."""

    used: int
    most_before: int


class RateBook:
    """Buckets and counts, on one connection."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def settle(self, kind: RateKind, rate: Rate, spent: Mapping[str, float]) -> dict[str, float]:
        """Take what this process spent, by client, and return what is left for all processes; may be debt."""
        rows = await self._connection.fetch(
            _SETTLE, list(spent), kind, list(spent.values()), rate.a_second, rate.burst
        )
        return {row["client_id"]: row["tokens"] for row in rows}

    async def count(self, client_id: str, kind: QuotaKind, since: datetime, number: int) -> Use:
        """Add to a count; who counts the same waits until this transaction has ended."""
        row = await self._connection.fetchrow(_COUNT, client_id, kind, since, number)
        if row is None:
            raise LookupError(kind)
        return Use(row["used"], row["most_before"])

    async def purge(self, before: datetime) -> None:
        """Forget counts from before a moment."""
        await self._connection.execute(_PURGE, before)
