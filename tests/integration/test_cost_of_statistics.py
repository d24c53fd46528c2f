"""What a query of statistics looks at does not depend on how many registrations there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.persistence.database import Database
from tests.benchmarks.statistics_cost import looked_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow

FEW, MANY = 1_000, 50_000
GROWING = {"registration", "student", "status_event", "status_message", "follow", "statistics_cell"}


@pytest.fixture
async def alone(database_url: str) -> AsyncIterator[Database]:
    """Open a database with the one connection that counts what it looks at."""
    opened = Database(database_url, pool_size=1)
    await opened.open()
    yield opened
    await opened.close()


class TestAQuery:
    async def test_looks_at_frozen_figures_alone_and_at_as_many_however_many_registrations(
        self, alone
    ) -> None:
        few, many = await looked_at(alone, (FEW, MANY))
        for name, before in few.items():
            assert not (before.tables | many[name].tables) & GROWING, name
            # Larger figures are a little longer.
            assert 0 < many[name].total <= before.total + 8 < 40, (name, before, many[name])
