"""When a sender is silent, and which registrations are held back: the rules alone."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.completeness import GroupPart, completeness
from app.domain.delivery import (
    Counts,
    DeliveryFinding,
    SenderState,
    added,
    delay,
    found,
    rhythm,
    school_days,
)

TODAY = date(2026, 5, 29)  # a Friday
FIRST = TODAY - timedelta(days=180)
WEEKDAYS = school_days({}, 0, FIRST, TODAY)
LONG_AGO = date(2025, 1, 1)
SIS, OTHER_SIS, CAMBO = 1, 2, 9


def every(step: int, without: int) -> list[date]:
    """Return each school day of so many, up to so many before the last."""
    heard = WEEKDAYS[: len(WEEKDAYS) - without]
    return heard[::-1][::step][::-1]


class TestSchoolDays:
    def test_are_weekdays_before_today(self) -> None:
        days = school_days({}, 4, date(2026, 5, 22), TODAY)
        assert [day.day for day in days] == [22, 25, 26, 27, 28]

    def test_leave_out_days_on_which_hardly_anybody_sent(self) -> None:
        heard = {date(2026, 5, 26): 3, date(2026, 5, 27): 1, date(2026, 5, 23): 9}
        assert school_days(heard, 10, date(2026, 5, 22), TODAY) == [date(2026, 5, 26)]


class TestRhythm:
    @pytest.mark.parametrize(
        ("step", "without", "state"),
        [
            (1, 0, SenderState.DELIVERING),
            (1, 2, SenderState.DELIVERING),
            (1, 3, SenderState.SILENT),
            (5, 9, SenderState.DELIVERING),
            (5, 10, SenderState.SILENT),
        ],
    )
    def test_tells_a_pause_from_silence_by_what_is_usual(self, step, without, state) -> None:
        judged = rhythm(every(step, without), WEEKDAYS, LONG_AGO)
        assert (judged.state, judged.usual_gap, judged.long_gap) == (state, step, step)
        assert judged.days_without == without

    def test_is_not_made_quicker_by_one_long_holiday(self) -> None:
        heard = every(1, 0)
        away = [day for day in heard if not date(2026, 4, 6) <= day <= date(2026, 4, 17)]
        assert rhythm(away, WEEKDAYS, LONG_AGO).long_gap == 1

    def test_is_not_known_of_one_that_was_heard_on_few_days(self) -> None:
        few = rhythm(WEEKDAYS[-10:-6], WEEKDAYS, LONG_AGO)
        assert (few.state, few.usual_gap, few.silent_after) == (SenderState.NEW, None, 20)
        assert rhythm(WEEKDAYS[:4], WEEKDAYS, LONG_AGO).state is SenderState.SILENT

    def test_of_one_that_was_never_heard_counts_from_its_mandate(self) -> None:
        assert rhythm([], WEEKDAYS, LONG_AGO).state is SenderState.NEVER_HEARD
        assert rhythm([], WEEKDAYS, WEEKDAYS[-10]).state is SenderState.NEVER_HEARD
        assert rhythm([], WEEKDAYS, WEEKDAYS[-9]).state is SenderState.NEW

    @given(st.sets(st.integers(0, len(WEEKDAYS) - 1), min_size=1), st.integers(0, 30))
    def test_once_silent_stays_so_until_it_is_heard(self, places, later) -> None:
        heard = [WEEKDAYS[place] for place in sorted(places)]
        judged = rhythm(heard, WEEKDAYS, LONG_AGO)
        more = school_days({}, 0, FIRST, TODAY + timedelta(days=later))
        afterwards = rhythm(heard, more, LONG_AGO)
        assert afterwards.long_gap == judged.long_gap
        if judged.state is SenderState.SILENT:
            assert afterwards.state is SenderState.SILENT


class TestDelay:
    def test_is_the_bound_of_the_bucket_that_reaches_the_share(self) -> None:
        buckets = [0] * 17
        buckets[3], buckets[10], buckets[16] = 50, 45, 5
        assert (delay(buckets, 0.5), delay(buckets, 0.95), delay(buckets, 0.96)) == (8, 1024, None)
        assert delay([0] * 17, 0.5) is None


class TestFindings:
    def test_need_ten_cases_and_a_share(self) -> None:
        many = Counts(messages=100, refused=10, unusual=11, late=21)
        assert found(SenderState.SILENT, many) == (
            DeliveryFinding.SILENT,
            DeliveryFinding.REFUSED,
            DeliveryFinding.UNUSUAL,
            DeliveryFinding.LATE,
        )
        assert found(SenderState.DELIVERING, Counts(messages=10, refused=9, unusual=9, late=9)) == ()
        assert found(SenderState.DELIVERING, Counts(1000, 50, 100, 200)) == ()

    def test_come_from_sums(self) -> None:
        one = Counts(1, 2, 3, 4, tuple(range(17)))
        assert added([one, one]) == Counts(2, 4, 6, 8, tuple(range(0, 34, 2)))
        assert added([]) == Counts()


def part(brin: str, registrations: int, unheard: int, reporters=(SIS,), **changed: object) -> GroupPart:
    values: dict[str, object] = {
        "brin": brin,
        "school_year": 2026,
        "level": 4,
        "week": TODAY - timedelta(days=35),
        "reported_by": reporters,
        "registrations": registrations,
        "waiting": unheard,
        "unheard": unheard,
        "unconfirmed": 0,
        **changed,
    }
    return GroupPart(**values)  # type: ignore[arg-type]


class TestCompleteness:
    def test_finds_those_that_are_stuck_when_their_peers_have_moved_on(self) -> None:
        parts = [part("25LH", 100, 20), *(part(brin, 100, 2, (OTHER_SIS,)) for brin in ("1", "2", "3"))]
        national = completeness(parts, {CAMBO}, TODAY)
        here = national.institutions["25LH"]
        assert (here.compared, here.stuck, here.elsewhere) == (100, 20, 0.02)
        assert here.findings == (DeliveryFinding.STUCK,)
        assert national.institutions["1"].findings == ()
        assert (national.senders["25LH", SIS].compared, national.senders["25LH", SIS].stuck) == (100, 20)

    def test_finds_nobody_stuck_while_the_peers_wait_too_or_are_few_or_young(self) -> None:
        for parts in (
            [part("25LH", 100, 26)],
            [part("25LH", 9, 2)],
            [part("25LH", 100, 20, week=TODAY - timedelta(days=27))],
            [part("25LH", 100, 20), part("1", 100, 31)],
        ):
            assert completeness(parts, {CAMBO}, TODAY).institutions["25LH"].stuck == 0

    def test_does_not_show_an_institution_the_share_of_one_or_two_others(self) -> None:
        parts = [part("25LH", 100, 20), part("1", 900, 0), part("2", 900, 0)]
        assert completeness(parts, {CAMBO}, TODAY).institutions["25LH"].elsewhere is None

    def test_finds_those_that_only_cambo_knows(self) -> None:
        parts = [
            part("25LH", 40, 0, (CAMBO,), unconfirmed=30),
            part("25LH", 60, 0, (CAMBO, SIS), unconfirmed=50),
        ]
        here = completeness(parts, {CAMBO}, TODAY).institutions["25LH"]
        assert (here.from_cambo, here.unconfirmed, here.compared) == (100, 30, 60)
        assert here.findings == (DeliveryFinding.UNCONFIRMED,)
