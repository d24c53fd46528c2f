"""Buckets, and the windows in which things are counted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.domain.rates import Bucket, Rate, Window, becomes_unusual

RATE = Rate(a_second=10, burst=100)


class TestBucket:
    def test_gives_its_burst_at_once_and_then_what_flows_in(self) -> None:
        bucket = Bucket(RATE, 0)
        assert [bucket.spend(1, 0) for _ in range(100)] == [0] * 100
        assert bucket.spend(1, 0) == pytest.approx(0.1)
        assert bucket.spend(1, 0.1) == 0
        assert bucket.spend(1, 0.1) == pytest.approx(0.1)

    def test_holds_no_more_than_its_burst(self) -> None:
        bucket = Bucket(RATE, 0)
        assert bucket.spend(100, 1_000_000) == 0
        assert bucket.spend(1, 1_000_000) > 0

    def test_lets_a_large_one_have_its_turn_and_waits_for_the_debt(self) -> None:
        bucket = Bucket(RATE, 0)
        assert bucket.spend(1_000, 0) == 0
        assert bucket.spend(1, 0) == pytest.approx(90.1)
        assert bucket.spend(1, 90.1) == 0

    def test_spends_nothing_when_it_refuses(self) -> None:
        bucket = Bucket(RATE, 0)
        bucket.spend(100, 0)
        for _ in range(1000):
            assert bucket.spend(1, 0) > 0
        assert bucket.spent == 100

    def test_is_idle_once_it_is_full_and_told(self) -> None:
        bucket = Bucket(RATE, 0)
        assert bucket.is_idle(0)
        bucket.spend(10, 0)
        assert not bucket.is_idle(1)
        bucket.spent = 0
        assert not bucket.is_idle(0.5)
        assert bucket.is_idle(1)

    def test_agrees_to_what_others_have_spent_too(self) -> None:
        bucket = Bucket(RATE, 0)
        bucket.spend(10, 0)
        bucket.agree(20, 1)
        assert bucket.tokens == 10


class TestWindow:
    NOW = datetime(2026, 3, 31, 22, 30, 30, 5, tzinfo=UTC)

    def test_is_the_day_or_the_hour(self) -> None:
        assert Window.day(self.NOW) == Window(
            datetime(2026, 3, 31, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
        )
        assert Window.hour(self.NOW).since == datetime(2026, 3, 31, 22, tzinfo=UTC)

    def test_tells_what_is_left_of_it(self) -> None:
        assert Window.hour(self.NOW).left(self.NOW) == pytest.approx(29.5 * 60, abs=0.001)


class TestUnusual:
    @pytest.mark.parametrize(
        ("before", "after", "most", "expected"),
        [
            (0, 1000, 0, False),
            (0, 1001, 0, True),
            (1001, 1500, 0, False),
            (0, 30_000, 10_000, False),
            (30_000, 30_001, 10_000, True),
            (0, 900, 10, False),
        ],
    )
    def test_is_far_more_than_ever_and_told_once(
        self, before: int, after: int, most: int, expected: bool
    ) -> None:
        assert becomes_unusual(before, after, most) is expected
