from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.domain.status_message import Outcome
from app.simulation.proof import Evidence, Truth, examine, missed
from app.simulation.receiving import Heard
from app.simulation.sending import Fate, Ledger
from app.simulation.traffic import World, generate

START = 40
WORLD = World({"25PJ": ("vendor",)}, "cambo", ("follower",), ("25180", "25998"))
TRAFFIC = generate(3, 60, WORLD, now=datetime(2026, 11, 22, tzinfo=UTC), school_year=2027)


@pytest.fixture
def truth() -> Truth:
    """All messages were accepted, and each of them changed something."""
    fates = {one.message_id: Fate(Outcome.ACCEPTED, changed=True, answered_at=0) for one in TRAFFIC.messages}
    return Truth.of(TRAFFIC.messages, fates)


@pytest.fixture
def evidence(truth) -> Evidence:
    """What a receiver of all changes has when nothing went wrong."""
    changes = [(application, *change) for application, changes in truth.changes.items() for change in changes]
    heard = {
        number: Heard(number, "STATUS", None, application, status, None, occurred_at)
        for number, (application, occurred_at, status) in enumerate(changes, START + 1)
    }
    return Evidence("receiver", START, heard, dict(heard), None, truth.present)


def without(evidence: Evidence, number: int) -> Evidence:
    return replace(evidence, heard={key: one for key, one in evidence.heard.items() if key != number})


class TestExamine:
    def test_finds_nothing_when_everything_was_heard(self, truth, evidence):
        assert len(evidence.heard) > 150
        assert examine(truth, evidence) == []
        assert missed(truth, evidence) == 0

    @pytest.mark.parametrize("number", [START + 1, START + 20])
    def test_finds_a_change_that_was_dropped(self, truth, evidence, number):
        lines = examine(truth, without(evidence, number))
        assert f"receiver: number {number} was never heard" in lines
        assert any("missed" in line for line in lines)
        assert missed(truth, without(evidence, number)) == 1

    def test_finds_the_last_change_dropped_where_no_number_is_missing(self, truth, evidence):
        last = max(evidence.heard)
        lines = examine(truth, replace(without(evidence, last), pulled=without(evidence, last).heard))
        assert any(evidence.heard[last].application_id in line for line in lines)

    def test_finds_a_number_that_means_something_else_when_pulled(self, truth, evidence):
        other = replace(evidence.heard[START + 3], status="REJECTED")
        lines = examine(truth, replace(evidence, pulled={**evidence.pulled, START + 3: other}))
        assert lines == [f"receiver: number {START + 3} is another by query than by subscription"]

    def test_finds_two_changes_of_a_registration_in_the_wrong_order(self, truth, evidence):
        application = next(one for one, changes in truth.changes.items() if len(changes) > 2)
        first, second = sorted(
            number for number, one in evidence.heard.items() if one.application_id == application
        )[:2]
        swapped = {
            **evidence.heard,
            first: replace(evidence.heard[second], number=first),
            second: replace(evidence.heard[first], number=second),
        }
        lines = examine(truth, replace(evidence, heard=swapped, pulled=swapped))
        assert f"receiver: {application}: heard in another order" in lines

    def test_finds_a_change_that_came_twice(self, truth, evidence):
        last = max(evidence.heard)
        again = {**evidence.heard, last + 1: replace(evidence.heard[last], number=last + 1)}
        lines = examine(truth, replace(evidence, heard=again, pulled=again))
        assert any("heard more than was accepted" in line for line in lines)

    def test_finds_what_was_heard_without_following(self, truth, evidence):
        application, *followed = truth.changes
        lines = examine(truth, replace(evidence, applications=frozenset(followed)))
        assert lines == [f"receiver: {application}: heard without following"]

    def test_finds_a_present_status_that_is_another(self, truth, evidence):
        application = next(iter(truth.present))
        lines = examine(truth, replace(evidence, present={**truth.present, application: "SOMETHING"}))
        assert len(lines) == 1
        assert "the hub says SOMETHING" in lines[0]

    def test_shows_no_personal_number(self, truth, evidence):
        lines = "\n".join(examine(truth, replace(evidence, heard={}, pulled={}, present={})))
        assert not any(message.student.personal_number in lines for message in TRAFFIC.messages)


class TestLedger:
    def answer(self, outcome: str, original: str | None = None, *findings: str) -> dict[str, object]:
        return {
            "messageId": "m",
            "outcome": outcome,
            "originalOutcome": original,
            "code": None,
            "findings": list(findings),
        }

    def test_takes_the_first_outcome_from_a_duplicate_whose_answer_was_lost(self):
        ledger = Ledger()
        ledger.enter(self.answer("DUPLICATE", "ACCEPTED"), 1.0)
        assert ledger.fates["m"] == Fate(Outcome.ACCEPTED, changed=True, answered_at=1.0)

    def test_counts_no_change_where_the_message_confirmed(self):
        ledger = Ledger()
        ledger.enter(self.answer("ACCEPTED", None, "CONFIRMS_CURRENT"), 1.0)
        assert not ledger.fates["m"].changed

    def test_notices_answers_that_contradict_each_other(self):
        ledger = Ledger()
        ledger.enter(self.answer("ACCEPTED"), 1.0)
        ledger.enter(self.answer("DUPLICATE", "OUTDATED"), 2.0)
        assert ledger.contradictions == ["message m: ACCEPTED, and later OUTDATED"]
