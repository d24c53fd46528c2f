"""Histories of many registrations in one statement."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from strawberry.dataloader import DataLoader

if TYPE_CHECKING:
    from app.persistence.events import HistoryEntry
    from app.services.registrations import RegistrationService

_Key = tuple[int, int, int]


class HistoryLoader:
    """Loads histories that are asked for together, together."""

    def __init__(self, registrations: RegistrationService) -> None:
        self._registrations = registrations
        self._loader: DataLoader[_Key, list[HistoryEntry]] = DataLoader(load_fn=self._load, cache=False)

    async def load(self, registration_id: int, after: int, size: int) -> list[HistoryEntry]:
        """Return up to `size` things that happened to a registration after an event id."""
        return await self._loader.load((registration_id, after, size))

    async def _load(self, keys: list[_Key]) -> list[list[HistoryEntry]]:
        wanted: dict[tuple[int, int], list[int]] = defaultdict(list)
        for registration_id, after, size in keys:
            wanted[after, size].append(registration_id)
        found = {page: await self._registrations.histories(ids, *page) for page, ids in wanted.items()}
        return [found[after, size][registration_id] for registration_id, after, size in keys]
