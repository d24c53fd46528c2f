"""The checker catches what it is there for."""

from dataclasses import replace

import pytest

from tests.faults.checker import Heard, Recorder, Sent, problems

SENT = [Sent("A", f"2026-01-01T00:00:0{step}Z", "RECEIVED", accepted=True) for step in range(5)]
FEED = [Heard(number, one.application_id, one.occurred_at, one.status) for number, one in enumerate(SENT, 1)]


def found(*connections, sent=None, applications=("A",)):
    recorder = Recorder("os", frozenset(applications), list(connections))
    return [problem.split(": ")[1] for problem in problems(sent or SENT, [recorder])]


class TestChecker:
    def test_finds_nothing_where_nothing_is(self):
        assert found((0, FEED)) == []
        assert found((0, FEED[:3]), (3, FEED[3:])) == []
        assert found((0, FEED[:4]), (2, FEED[2:])) == [], "what comes twice with the same content"
        assert found((0, []), (0, FEED)) == []

    def test_lets_be_heard_what_was_not_answered(self):
        assert found((0, FEED), sent=[*SENT[:4], replace(SENT[4], accepted=False)]) == []
        assert found((0, FEED[:4]), sent=[*SENT[:4], replace(SENT[4], accepted=False)]) == []

    def test_expects_only_what_the_receiver_follows(self):
        assert found(applications=("B",)) == []

    @pytest.mark.parametrize(
        ("connections", "problem"),
        [
            ([(0, [*FEED[:2], *FEED[3:]])], "hole"),
            ([(0, FEED[1:])], "hole"),
            ([(0, FEED[:2]), (3, FEED[3:])], "hole"),
            ([(0, [FEED[0], FEED[2], FEED[1], *FEED[3:]])], "hole"),
            ([(0, FEED[:3]), (2, [replace(FEED[2], status="OFFERED"), *FEED[3:]])], "repeat"),
            ([(0, FEED[:4])], "loss"),
            ([], "loss"),
            ([(0, [*FEED[:4], replace(FEED[4], status="OFFERED")])], "invention"),
            ([(0, [*FEED, Heard(6, "B", "2026", "RECEIVED")])], "invention"),
            ([(0, [*FEED, replace(FEED[4], number=6)])], "twice"),
        ],
    )
    def test_catches(self, connections, problem):
        assert problem in found(*connections)

    def test_catches_a_wrong_order(self):
        first, second = replace(FEED[0], number=2), replace(FEED[1], number=1)
        assert found((0, [second, first, *FEED[2:]])) == ["order"]
