"""Students, by pseudonym; and which version of the keys their pseudonyms are made with.

A student has one row, under one version. Two writers could make it twice if they wrote under different
versions at the same moment, so all who write hold a shared lock until their commit, and whoever switches the
version (`PseudonymKeys.switch`) holds the exclusive one: under the lock everybody writes the same version,
and the unique pseudonym decides between them. A process that has not read the newest key yet is refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.errors import UnavailableError
from app.persistence.advisory_locks import AdvisoryLock
from app.persistence.kept_plans import unseen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import asyncpg

    from app.domain.personal_number import KeyChain, Pseudonym

_FIRST_VERSION = 1

_INSERT = """
insert into student (pseudonym, key_version)
select pseudonym, $2 from unnest($1::bytea[]) as pseudonym
on conflict (pseudonym) do nothing
"""
_SELECT = f"select pseudonym, id from student where pseudonym = any({unseen(1, 'bytea[]')})"
_SHARE = "select pg_advisory_xact_lock_shared($1)"
_EXCLUDE = "select pg_advisory_xact_lock($1)"
_WRITTEN = "select version, fingerprint, completed_at from pseudonym_key order by version desc limit 1"
_SWITCH = "insert into pseudonym_key (version, fingerprint) values ($1, $2) on conflict do nothing"
_COMPLETE = "update pseudonym_key set completed_at = now() where version = $1 and completed_at is null"
# Rows that somebody works with are left for the next round: to wait for them could end in a deadlock.
_OLD = """
select id, pseudonym, key_version from student
where id > $1 and key_version < $2 order by id limit $3 for update skip locked
"""
_REWRITE = """
update student s set pseudonym = n.pseudonym, key_version = $3
from unnest($1::bigint[], $2::bytea[]) as n (id, pseudonym)
where s.id = n.id and s.key_version < $3
"""
_COUNT_OLD = "select count(*) from student where key_version < $1"


class StaleKeysError(UnavailableError):
    """The hub has not read the newest key yet."""


class OtherKeysError(UnavailableError):
    """The key file is not the one that this database was written with."""


class Students:
    """The students of one transaction (READ COMMITTED: each statement sees the newest commits)."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def find(self, pseudonyms: Collection[Pseudonym]) -> dict[bytes, int]:
        """Return the keys of those that the hub knows, by their first pseudonym.

        All versions in one statement: between two, a student could step from one version to the next.
        """
        firsts = {value: pseudonym[0] for pseudonym in pseudonyms for value in pseudonym}
        rows = await self._connection.fetch(_SELECT, list(firsts))
        return {firsts[row["pseudonym"]]: row["id"] for row in rows}

    async def ensure(self, pseudonyms: Collection[Pseudonym], keys: KeyChain) -> dict[bytes, int]:
        """Return the keys of all by their first pseudonym, making those that are new.

        Inserted in one order against deadlocks. Raises StaleKeysError when the database is written with a
        key that `keys` does not hold yet, and OtherKeysError when it holds another one.
        """
        found = await self.find(pseudonyms)
        missing = [pseudonym for pseudonym in pseudonyms if pseudonym[0] not in found]
        if not missing:
            return found
        await self._connection.execute(_SHARE, AdvisoryLock.PSEUDONYM_WRITERS)
        version = await PseudonymKeys(self._connection).version_for(keys)
        if any(len(pseudonym) < version for pseudonym in missing):
            raise StaleKeysError  # they were computed just before the file was read again
        if keys.version > _FIRST_VERSION:
            found |= await self.find(missing)  # made under an older version before the lock was there
            missing = [pseudonym for pseudonym in missing if pseudonym[0] not in found]
        if missing:
            new = sorted({pseudonym[version - 1] for pseudonym in missing})
            await self._connection.execute(_INSERT, new, version)
            found |= await self.find(missing)
        return found


class PseudonymKeys:
    """Which version students are written under, and the way of old ones to it, in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def written(self) -> tuple[int, bytes | None, bool]:
        """Return the version that is written, its key's fingerprint, and whether no older student is left."""
        row = await self._connection.fetchrow(_WRITTEN)
        if row is None:
            return _FIRST_VERSION, None, True
        return row["version"], row["fingerprint"], row["completed_at"] is not None

    async def version_for(self, keys: KeyChain) -> int:
        """Return the version that is written, once these keys turn out to hold its key."""
        version, fingerprint, _ = await self.written()
        if version > keys.version:
            raise StaleKeysError
        if fingerprint is not None and fingerprint != keys.fingerprint(version):
            raise OtherKeysError
        return version

    async def switch(self, keys: KeyChain) -> None:
        """Let all who write use the newest key; waits for those who are about to commit an older one."""
        await self._connection.execute(_EXCLUDE, AdvisoryLock.PSEUDONYM_WRITERS)
        version = await self.version_for(keys)
        for later in range(version + 1, keys.version + 1):
            await self._connection.execute(_SWITCH, later, keys.fingerprint(later))

    async def old(self, after: int, version: int, at_most: int) -> Sequence[tuple[int, bytes, int]]:
        """Lock and return students below a version after an id; those that are in use are left out."""
        rows = await self._connection.fetch(_OLD, after, version, at_most)
        return [(row["id"], row["pseudonym"], row["key_version"]) for row in rows]

    async def rewrite(self, students: Iterable[tuple[int, bytes]], version: int) -> None:
        """Give students their pseudonyms of a version."""
        pairs = list(students)
        await self._connection.execute(
            _REWRITE, [one for one, _ in pairs], [pseudonym for _, pseudonym in pairs], version
        )

    async def count_old(self, version: int) -> int:
        """Return how many students are below a version."""
        return int(await self._connection.fetchval(_COUNT_OLD, version))

    async def complete(self, version: int) -> None:
        """Note that no student is below a version any more."""
        await self._connection.execute(_COMPLETE, version)
