"""How long a student stays."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.registration import ChangeKind
from app.domain.retention import Announce, RetentionRule, Step, Trace

NOW = datetime(2026, 11, 25, tzinfo=UTC)
DAY = timedelta(days=1)
RULE = RetentionRule(365 * DAY, 28 * DAY)


def changed(days_ago, **other):
    at = NOW - days_ago * DAY
    return Trace(1, **{"kind": ChangeKind.STATUS, "occurred_at": at, "recorded_at": at, "followed": False,
                       "follow_ended_at": None} | other)  # fmt: skip


def nothing(*, followed=False, ended=None):
    return Trace(1, None, None, None, followed, None if ended is None else NOW - ended * DAY)


class TestRetentionRule:
    @pytest.mark.parametrize("days_ago", [0, 300, 336])
    def test_keeps_what_changed_lately(self, days_ago):
        assert RULE.decide(changed(days_ago), NOW) is Step.KEEP

    def test_announces_the_end_some_weeks_before(self):
        assert RULE.decide(changed(337), NOW) == Announce(NOW + 28 * DAY)

    def test_gives_the_whole_notice_also_when_it_comes_late(self):
        assert RULE.decide(changed(900), NOW) == Announce(NOW + 28 * DAY)

    def test_removes_when_the_announced_moment_has_come_and_not_before(self):
        announced = changed(27, kind=ChangeKind.REMOVAL_ANNOUNCED, occurred_at=NOW + DAY)
        assert RULE.decide(announced, NOW) is Step.KEEP
        assert RULE.decide(announced, NOW + DAY) is Step.REMOVE

    def test_begins_anew_with_every_change(self):
        assert RULE.decide(changed(5, kind=ChangeKind.DATA), NOW) is Step.KEEP

    def test_keeps_a_student_without_registrations_while_somebody_follows_and_a_year_after(self):
        assert RULE.decide(nothing(followed=True), NOW) is Step.KEEP
        assert RULE.decide(nothing(ended=364), NOW) is Step.KEEP
        assert RULE.decide(nothing(ended=365), NOW) is Step.REMOVE
        assert RULE.decide(nothing(), NOW) is Step.REMOVE
