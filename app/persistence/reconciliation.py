"""Digests and lists of what one sender has reported, by the hash of the application id.

A sender sees here what it sees everywhere (see `visible_registrations`), but for what is annulled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.access import Role
from app.domain.codes import Status
from app.domain.reconciliation import CHILD_DIGITS, HeldRegistration, PrefixDigest, RegistrationDigest

if TYPE_CHECKING:
    import asyncpg

    from app.domain.reconciliation import Part

# Of the bytes of the text: a backslash would begin an escape in the cast, so it is doubled. Has an index.
APPLICATION_HASH = r"sha256(replace(application_id, '\', '\\')::bytea)"

_HASH_DIGITS = 64
_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of no bytes

# $1 organisation, $2 institution, $3 school year, $4 and $5 the first and the last hash below the prefix.
# The mandate of a SIS vendor is looked at before; `$1` is any of CAMBO's, which sees all.
_PART = f"""brin = $2 and school_year = $3 and {APPLICATION_HASH} between $4 and $5 and annulled_by is null"""
_SEEN_BY = {Role.SIS: "$1 = any(reported_by)", Role.CAMBO: "$1::bigint is not null"}

_DIGEST = {
    role: f"""
with held as materialized (
  select {APPLICATION_HASH} as hash, status from registration where {_PART} and {seen}
),
divided as (
  select substring(encode(hash, 'hex') for $6) collate "C" as prefix, count(*) as count,
         string_agg(encode(hash, 'hex') || ' ' || status || E'\\n', '' order by hash) as lines
  from held group by 1
)
select prefix, count, encode(sha256(convert_to(lines, 'UTF8')), 'hex') as digest from divided
union all
select null, sum(count), encode(sha256(convert_to(string_agg(lines, '' order by prefix), 'UTF8')), 'hex')
from divided
order by prefix nulls first
"""
    for role, seen in _SEEN_BY.items()
}
_HELD = {
    role: f"""
select application_id, status, student_id from registration where {_PART} and {seen}
order by {APPLICATION_HASH} limit $6
"""
    for role, seen in _SEEN_BY.items()
}


class Reconciliation:
    """What one sender has reported, in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def digest(self, organisation_id: int, role: Role, part: Part) -> RegistrationDigest:
        """Return count and digest of a part, and of its children that hold something."""
        digits = len(part.prefix) + CHILD_DIGITS
        rows = await self._connection.fetch(
            _DIGEST[role], organisation_id, part.brin, part.school_year, *_bounds(part.prefix), digits
        )
        found = [
            PrefixDigest(
                part.prefix if row["prefix"] is None else row["prefix"],
                row["count"] or 0,
                row["digest"] or _NOTHING,
            )
            for row in rows
        ]
        return RegistrationDigest(found[0], tuple(found[1:]))

    async def held(
        self, organisation_id: int, role: Role, part: Part, at_most: int
    ) -> list[HeldRegistration]:
        """Return up to so many registrations of a part, in the order of their hashes."""
        rows = await self._connection.fetch(
            _HELD[role], organisation_id, part.brin, part.school_year, *_bounds(part.prefix), at_most
        )
        return [
            HeldRegistration(row["application_id"], Status(row["status"]), row["student_id"]) for row in rows
        ]


def _bounds(prefix: str) -> tuple[bytes, bytes]:
    return bytes.fromhex(prefix.ljust(_HASH_DIGITS, "0")), bytes.fromhex(prefix.ljust(_HASH_DIGITS, "f"))
