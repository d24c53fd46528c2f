"""Students, by pseudonym."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    import asyncpg

_INSERT = """
insert into student (pseudonym, key_version)
select pseudonym, $2 from unnest($1::bytea[]) as pseudonym
on conflict (pseudonym) do nothing
"""
_SELECT = "select pseudonym, id from student where pseudonym = any($1::bytea[])"


class Students:
    """The students of one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def find(self, pseudonyms: Collection[bytes]) -> dict[bytes, int]:
        """Return the keys of those that the hub knows."""
        rows = await self._connection.fetch(_SELECT, list(pseudonyms))
        return {row["pseudonym"]: row["id"] for row in rows}

    async def ensure(self, pseudonyms: Collection[bytes], key_version: int) -> dict[bytes, int]:
        """Return the keys of all, making those that are new; inserted in one order against deadlocks."""
        found = await self.find(pseudonyms)
        missing = sorted(pseudonym for pseudonym in pseudonyms if pseudonym not in found)
        if missing:
            await self._connection.execute(_INSERT, missing, key_version)
            found |= await self.find(missing)
        return found
