"""Periods of mandates, put together and taken apart."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.mandate import Period, with_period, without_period

_FIRST = date(2026, 8, 1)
_DAYS = [_FIRST + timedelta(days) for days in range(40)]
_PERIODS = st.tuples(st.sampled_from(_DAYS), st.sampled_from([*_DAYS, date.max])).map(
    lambda ends: Period(min(ends), max(ends))
)


def _covered(periods: tuple[Period, ...]) -> set[date]:
    return {day for day in [*_DAYS, date.max] if any(day in period for period in periods)}


class TestPeriods:
    @given(st.lists(st.tuples(st.booleans(), _PERIODS), max_size=12))
    def test_cover_exactly_the_days_that_were_added_and_not_removed(
        self, steps: list[tuple[bool, Period]]
    ) -> None:
        periods: tuple[Period, ...] = ()
        days: set[date] = set()
        for added, period in steps:
            periods = (with_period if added else without_period)(periods, period)
            days = days | _covered((period,)) if added else days - _covered((period,))
            assert _covered(periods) == days

    @given(st.lists(_PERIODS, max_size=12))
    def test_never_touch_each_other(self, added: list[Period]) -> None:
        periods: tuple[Period, ...] = ()
        for period in added:
            periods = with_period(periods, period)
        assert all(before.end + timedelta(1) < after.start for before, after in pairwise(periods))

    def test_do_not_end_before_they_start(self) -> None:
        with pytest.raises(ValueError, match="ends before it starts"):
            Period(_FIRST, _FIRST - timedelta(1))
