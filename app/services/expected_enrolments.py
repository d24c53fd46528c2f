"""Which way expected enrolments are told: from history where there is some, else by one rule."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from app.domain.expected import ByRule, Estimates
from app.domain.history import YEARS, History, weeks_before, years_told
from app.domain.status_mix import StatusMixes

if TYPE_CHECKING:
    from collections.abc import Collection

    from app.domain.disclosure.publishing import Estimating
    from app.persistence.statistics import Statistics


async def estimating(
    figures: Statistics, school_year: int, recorded: Collection[int], day: date, threshold: int
) -> Estimating:
    """Return how to estimate the cells of a school year on a day; `recorded` are the years with figures."""
    weeks = weeks_before(school_year, day)
    earlier = [
        year for year in sorted(recorded, reverse=True) if year < school_year and date(year, 10, 1) < day
    ][:YEARS]
    years = years_told([await figures.histories.of(year, weeks) for year in earlier])
    mixes = StatusMixes(await figures.histories.present(school_year), threshold)
    return Estimates(mixes, History(years, threshold) if years else ByRule())
