"""The export for those who model the intake; for the operator alone."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from app.domain.school_year import require_school_year
from app.persistence.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

    from app.domain.analysis import AnalysisRow
    from app.persistence.database import Database

_ROWS = 5000


class AnalysisExport:
    """Rows for analysis, in chunks: a million of them need no more memory than a few thousand."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def rows(self, school_year: int | None) -> AsyncGenerator[list[AnalysisRow], None]:
        """Yield the rows of a school year (None: of all) in chunks, all of one moment.

        Raises BadUserInputError when this is no school year.
        """
        if school_year is not None:
            require_school_year(school_year, self._clock(), "school-year")
        secret = secrets.token_bytes(32)
        chunk: list[AnalysisRow] = []
        async with unit_of_work(self._database, "repeatable_read") as unit:
            async for period in unit.analysis.periods(school_year):
                chunk.append(period.row(secret))
                if len(chunk) == _ROWS:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk
