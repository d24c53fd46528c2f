"""The proof that nothing was missed: what receivers heard against what senders were answered. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.status_message import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.simulation.receiving import Heard
    from app.simulation.sending import Fate
    from app.simulation.traffic import PlannedMessage

# A change, as both sides know it: `occurredAt` and status.
Change = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Truth:
    """What follows from the answers to the senders.

    `changes`: of each application, in the order in which they took effect; `present`: its status in the end.
    `answered_at`: when the sender of a change had its answer.
    """

    changes: Mapping[str, tuple[Change, ...]]
    present: Mapping[str, str]
    answered_at: Mapping[tuple[str, str], float]

    @classmethod
    def of(cls, messages: Iterable[PlannedMessage], fates: Mapping[str, Fate]) -> Truth:
        """Work it out. Within an application accepted messages took effect in the order of their times."""
        accepted: defaultdict[str, dict[str, PlannedMessage]] = defaultdict(dict)
        for message in messages:
            fate = fates.get(message.message_id)
            if fate is not None and fate.outcome is Outcome.ACCEPTED:
                accepted[message.application_id][message.occurred_at] = message
        changes: dict[str, tuple[Change, ...]] = {}
        present: dict[str, str] = {}
        answered_at: dict[tuple[str, str], float] = {}
        for application_id, by_time in accepted.items():
            in_order = [by_time[occurred_at] for occurred_at in sorted(by_time)]
            present[application_id] = in_order[-1].status.value
            heard = [message for message in in_order if fates[message.message_id].changed]
            changes[application_id] = tuple((message.occurred_at, message.status.value) for message in heard)
            for message in heard:
                answered_at[application_id, message.occurred_at] = fates[message.message_id].answered_at
        return cls(changes, present, answered_at)

    def expected(self, applications: Iterable[str]) -> int:
        """How many changes somebody hears who follows the students of these applications."""
        return sum(len(self.changes.get(application, ())) for application in applications)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one receiver has: what it heard above `start`, the same pulled, and what the hub says now.

    `applications`: those of this run whose students it follows; None: it hears of all. `present` is None
    for a receiver that cannot ask for it.
    """

    receiver: str
    start: int
    heard: Mapping[int, Heard]
    pulled: Mapping[int, Heard]
    applications: frozenset[str] | None
    present: Mapping[str, str] | None


def missed(truth: Truth, evidence: Evidence) -> int:
    """Return how many changes the receiver should have heard and did not."""
    heard = {(one.application_id, one.occurred_at, one.status) for one in evidence.heard.values()}
    return sum(
        (application_id, occurred_at, status) not in heard
        for application_id in _applications(truth, evidence)
        for occurred_at, status in truth.changes.get(application_id, ())
    )


def examine(truth: Truth, evidence: Evidence) -> list[str]:
    """Return what is wrong, a line each; nothing when nothing was missed."""
    return [
        *_holes(evidence),
        *_other_ways(evidence),
        *_applications_heard(truth, evidence),
        *_present(truth, evidence),
    ]


def _applications(truth: Truth, evidence: Evidence) -> Iterable[str]:
    return truth.changes if evidence.applications is None else evidence.applications


def _holes(evidence: Evidence) -> list[str]:
    numbers = sorted(evidence.heard)
    expected = range(evidence.start + 1, evidence.start + 1 + len(numbers))
    if numbers == list(expected):
        return []
    hole = next(number for number in expected if number not in evidence.heard)
    return [f"{evidence.receiver}: number {hole} was never heard"]


def _other_ways(evidence: Evidence) -> list[str]:
    lines = []
    for number in sorted(evidence.heard.keys() | evidence.pulled.keys()):
        heard, pulled = evidence.heard.get(number), evidence.pulled.get(number)
        if heard != pulled:
            what = "was pulled, not heard" if heard is None else "is another by query than by subscription"
            lines.append(f"{evidence.receiver}: number {number} {what}")
    return lines


def _applications_heard(truth: Truth, evidence: Evidence) -> list[str]:
    heard: defaultdict[str, list[Change]] = defaultdict(list)
    for number in sorted(evidence.heard):
        one = evidence.heard[number]
        if one.application_id is not None:
            heard[one.application_id].append((one.occurred_at or "", one.status or ""))
    lines = []
    for application_id in _applications(truth, evidence):
        wanted, got = truth.changes.get(application_id, ()), tuple(heard.get(application_id, ()))
        if wanted != got:
            lines.append(f"{evidence.receiver}: {application_id}: {_difference(wanted, got)}")
    if evidence.applications is not None:
        strange = heard.keys() & truth.changes.keys() - evidence.applications
        lines += [f"{evidence.receiver}: {one}: heard without following" for one in sorted(strange)]
    return lines


def _difference(wanted: Sequence[Change], got: Sequence[Change]) -> str:
    lost = [status for occurred_at, status in wanted if (occurred_at, status) not in got]
    if lost:
        return f"missed {', '.join(lost)}"
    if len(got) > len(wanted):
        return "heard more than was accepted"
    return "heard in another order"


def _present(truth: Truth, evidence: Evidence) -> list[str]:
    if evidence.present is None:
        return []
    lines = []
    last: dict[str, str | None] = {}
    for number in sorted(evidence.heard):
        one = evidence.heard[number]
        if one.application_id is not None:
            last[one.application_id] = one.status
    for application_id in sorted(_applications(truth, evidence)):
        sent = truth.present.get(application_id)
        now, heard = evidence.present.get(application_id), last.get(application_id)
        if not sent == now == heard:
            lines.append(
                f"{evidence.receiver}: {application_id}: sent {sent}, the hub says {now}, heard {heard}"
            )
    return lines
