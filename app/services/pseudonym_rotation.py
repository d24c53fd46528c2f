"""Rotating the keys behind the pseudonyms while hubs run. Each step can be broken off, and done again.

1. The new key goes into the file; hubs read it within seconds, and find students under either version.
2. After a grace the database says that new students are written under it. A hub that has not read it by then
   (or that has another file) makes no students until it has; it refuses them as UNAVAILABLE, and never twice.
3. Students are brought over in small bites, each a transaction of its own.

The keys stay in the file for ever: a pseudonym is the chain of all of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.persistence.unit_of_work import reading, unit_of_work
from app.services.key_files import LOOK_SECONDS
from app.services.keys import add_pseudonym_key, load_pseudonym_keys

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from app.domain.personal_number import KeyChain
    from app.persistence.database import Database

GRACE_SECONDS = 5 * LOOK_SECONDS
_BITE = 500
_IN_USE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class RotationProgress:
    """How many students have the newest version, and how many do not yet."""

    version: int
    done: int
    left: int


class PseudonymRotation:
    """Adds a key, switches to it, and brings the students over."""

    def __init__(
        self, database: Database, path: Path, *, grace_seconds: float = GRACE_SECONDS, bite: int = _BITE
    ) -> None:
        self._database = database
        self._path = path
        self._grace_seconds = grace_seconds
        self._bite = bite

    async def prepare(self) -> tuple[KeyChain, bool]:
        """Add a key, unless a rotation is not finished: that one goes on. Return the keys, and whether so."""
        keys = load_pseudonym_keys(self._path, create=False)
        async with reading(self._database) as unit:
            await unit.pseudonym_keys.version_for(keys)
            version, _, complete = await unit.pseudonym_keys.written()
        if version == keys.version and complete:
            return add_pseudonym_key(self._path), True
        return keys, False

    async def run(self, keys: KeyChain) -> AsyncGenerator[RotationProgress, None]:
        """Switch to the newest of these keys and bring all students over, telling after each bite."""
        async with reading(self._database) as unit:
            version, _, _ = await unit.pseudonym_keys.written()
        if version < keys.version:
            await asyncio.sleep(self._grace_seconds)
            async with unit_of_work(self._database) as unit:
                await unit.pseudonym_keys.switch(keys)
        done = 0
        while left := await self._left(keys.version):
            yield RotationProgress(keys.version, done, left)
            moved, last = 0, 0
            while (bite := await self._bring_over(keys, last)) is not None:
                count, last = bite
                moved += count
                yield RotationProgress(keys.version, done + moved, max(left - moved, 0))
            done += moved
            if not moved:
                await asyncio.sleep(_IN_USE_SECONDS)
        async with unit_of_work(self._database) as unit:
            await unit.pseudonym_keys.complete(keys.version)
        yield RotationProgress(keys.version, done, 0)

    async def _left(self, version: int) -> int:
        async with reading(self._database) as unit:
            return await unit.pseudonym_keys.count_old(version)

    async def _bring_over(self, keys: KeyChain, after: int) -> tuple[int, int] | None:
        """Do one bite; return how many there were and the last id, None when there was nothing after it."""
        async with unit_of_work(self._database) as unit:
            old = await unit.pseudonym_keys.old(after, keys.version, self._bite)
            if not old:
                return None
            await unit.pseudonym_keys.rewrite(
                [(one, keys.advance(value, version, keys.version)) for one, value, version in old],
                keys.version,
            )
        return len(old), old[-1][0]
