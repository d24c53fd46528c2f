"""A registration and what messages do to it. Pure: every rule of judging that needs the present state.

Source of the rules: the ministerial regulation on the statuses, and the agreements of the chain as laid
down in `ARCHITECTURE.md`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.status_message import Correction, CorrectionKind, Finding, Outcome, Refusal, StatusMessage
from app.domain.value import value

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

# The steps that the published figures of 2024 show, and those that the words of the statuses imply.
USUAL_STEPS = frozenset(
    {
        (Status.RECEIVED, Status.OFFERED),
        (Status.RECEIVED, Status.ENROLLED),
        (Status.RECEIVED, Status.WITHDRAWN),
        (Status.RECEIVED, Status.REJECTED),
        (Status.OFFERED, Status.RECEIVED),
        (Status.OFFERED, Status.ENROLLED),
        (Status.OFFERED, Status.WITHDRAWN),
        (Status.OFFERED, Status.REJECTED),
        (Status.ENROLLED, Status.RECEIVED),
        (Status.ENROLLED, Status.OFFERED),
        (Status.ENROLLED, Status.WITHDRAWN),
        (Status.WITHDRAWN, Status.RECEIVED),
    }
)


class ChangeKind(codes.Choice):
    """What a change is about. OUTDATED stands in the history only and has no effect.

    REMOVAL_ANNOUNCED tells who holds every change (CAMBO) that the student's time is nearly over.
    """

    STATUS = "STATUS"
    DATA = "DATA"
    CORRECTED = "CORRECTED"
    ANNULLED = "ANNULLED"
    HIDDEN = "HIDDEN"
    OUTDATED = "OUTDATED"
    REMOVAL_ANNOUNCED = "REMOVAL_ANNOUNCED"


@value
class Registration:
    """One student's application for one programme at one institution for one school year.

    `id` is the hub's own key and `public_id` the one that clients see; `effective_at` is the greatest
    least(occurredAt, recordedAt) that was accepted; `reported_by` are the organisations that sent about it.
    """

    id: int
    public_id: UUID
    application_id: str
    student_id: int
    brin: str
    programme_code: str
    learning_path: LearningPath
    school_year: int
    programme_year: int
    status: Status
    status_since: datetime
    status_source: StatusSource
    effective_at: datetime
    last_confirmed_at: datetime
    annulled_by: int | None
    reported_by: tuple[int, ...]
    region: str | None = None
    reference: str | None = None

    def seen_as(self, reference: str) -> Registration:
        """Return this registration as the follower sees it who knows the student by `reference`."""
        return replace(self, reference=reference)


@value
class Change:
    """What a message did, to be recorded and, unless OUTDATED, to be pushed.

    `student_id` is the student whose followers hear of it.
    """

    kind: ChangeKind
    student_id: int
    status: Status
    previous_status: Status | None
    learning_path: LearningPath
    source: StatusSource
    occurred_at: datetime


@value
class Sender:
    """Who sent a message, and when the hub got it."""

    organisation_id: int
    source: StatusSource
    recorded_at: datetime


@value
class Judgement:
    """The outcome of one message: the registration after it and the changes that it made, in order.

    `is_step`: nothing but the status moved, with its time and source; nearly every message is like that. Its
    registration and its change are left out, since few need them: these ask `in_full`.
    """

    outcome: Outcome
    registration: Registration | None
    changes: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()
    code: Refusal | None = None
    is_step: bool = False


# The judgements of all steps: they differ in what is remarkable about them.
_STEPS: dict[tuple[Finding, ...], Judgement] = {
    findings: Judgement(Outcome.ACCEPTED, None, (), findings, None, is_step=True)
    for findings in ((), (Finding.LATE,), (Finding.UNUSUAL_STEP,), (Finding.LATE, Finding.UNUSUAL_STEP))
}


def refused(code: Refusal) -> Judgement:
    """Return the judgement of a message that has no effect at all."""
    return Judgement(Outcome.REFUSED, None, code=code)


def judge_first(created: Registration, message: StatusMessage, sender: Sender) -> Judgement:
    """Judge the message that made this registration: always accepted, whatever its status and time."""
    change = _change(ChangeKind.STATUS, created, None, message.occurred_at, sender)
    return Judgement(Outcome.ACCEPTED, created, (change,), _lateness(message.occurred_at, sender))


def judge(  # noqa: PLR0911 - the rules in their order, one answer each
    current: Registration, message: StatusMessage, student_id: int, sender: Sender
) -> Judgement:
    """Judge a message about a registration that the hub knows."""
    if current.brin != message.brin:
        return refused(Refusal.OTHER_INSTITUTION)
    if current.student_id != student_id:
        return refused(Refusal.OTHER_STUDENT)
    late = _lateness(message.occurred_at, sender)
    occurred_at, recorded_at = message.occurred_at, sender.recorded_at
    effective_at = min(occurred_at, recorded_at)
    if effective_at < current.effective_at:
        return _outdated(current, message, sender, late)
    live = current.annulled_by is None
    if (
        sender.source is StatusSource.CAMBO
        and message.status is Status.WITHDRAWN
        and current.status is Status.ENROLLED
        and live
    ):
        return refused(Refusal.ALREADY_ENROLLED)
    same_status = live and current.status is message.status
    same_data = (
        current.programme_code == message.programme_code
        and current.learning_path is message.learning_path
        and current.school_year == message.school_year
        and current.programme_year == message.programme_year
    )
    if same_status and same_data:
        confirmed = replace(
            current,
            effective_at=effective_at,
            last_confirmed_at=max(current.last_confirmed_at, recorded_at),
            reported_by=_reporters(current, sender),
        )
        return Judgement(Outcome.ACCEPTED, confirmed, (), (*late, Finding.CONFIRMS_CURRENT))
    usual = current.status is message.status or (current.status, message.status) in USUAL_STEPS
    findings = late if usual else (*late, Finding.UNUSUAL_STEP)
    if same_data and live and sender.organisation_id in current.reported_by:
        return _STEPS[findings]
    return _moved(current, message, sender, findings, is_step=False)


def in_full(step: Judgement, current: Registration, message: StatusMessage, sender: Sender) -> Judgement:
    """Return the judgement of a step with the registration after it and its change."""
    return _moved(current, message, sender, step.findings, is_step=True)


def _moved(
    current: Registration,
    message: StatusMessage,
    sender: Sender,
    findings: tuple[Finding, ...],
    *,
    is_step: bool,
) -> Judgement:
    """Return what a message does that changes status or data, and so brings back what was annulled."""
    same_status = current.annulled_by is None and current.status is message.status
    after = Registration(  # by position: it is made for every single message, and names take twice the time
        current.id,
        current.public_id,
        current.application_id,
        current.student_id,
        current.brin,
        message.programme_code,
        message.learning_path,
        message.school_year,
        message.programme_year,
        message.status,
        current.status_since if same_status else message.occurred_at,
        current.status_source if same_status else sender.source,
        min(message.occurred_at, sender.recorded_at),
        max(current.last_confirmed_at, sender.recorded_at),
        None,
        _reporters(current, sender),
        current.region,
        current.reference,
    )
    kind = ChangeKind.DATA if same_status else ChangeKind.STATUS
    change = _change(kind, after, current.status, message.occurred_at, sender)
    return Judgement(Outcome.ACCEPTED, after, (change,), findings, None, is_step)


def _outdated(
    current: Registration, message: StatusMessage, sender: Sender, findings: tuple[Finding, ...]
) -> Judgement:
    """Return what a late message does: it stands in the history, and its sender has reported."""
    reporters = _reporters(current, sender)
    after = current if reporters is current.reported_by else replace(current, reported_by=reporters)
    change = Change(
        ChangeKind.OUTDATED,
        current.student_id,
        message.status,
        None,
        message.learning_path,
        sender.source,
        message.occurred_at,
    )
    return Judgement(Outcome.OUTDATED, after, (change,), findings)


def correct(
    current: Registration | None, correction: Correction, student_id: int | None, sender: Sender
) -> Judgement:
    """Judge a correction. It needs a registration of that institution, and wins over time."""
    if current is None:
        return refused(Refusal.UNKNOWN_REGISTRATION)
    if current.brin != correction.brin:
        return refused(Refusal.OTHER_INSTITUTION)
    heard = _heard(current, sender)
    if correction.kind is CorrectionKind.ANNUL:
        return _annul(heard, sender)
    if correction.kind is CorrectionKind.REPLACE_STUDENT and student_id is not None:
        return _replace_student(heard, student_id, sender)
    return _replace_status(heard, correction, sender)


def _annul(current: Registration, sender: Sender) -> Judgement:
    if current.annulled_by is not None:
        return Judgement(Outcome.ACCEPTED, current, (), (Finding.CONFIRMS_CURRENT,))
    after = replace(
        current,
        annulled_by=sender.organisation_id,
        effective_at=max(current.effective_at, sender.recorded_at),
    )
    change = _change(ChangeKind.ANNULLED, after, current.status, sender.recorded_at, sender)
    return Judgement(Outcome.ACCEPTED, after, (change,))


def _replace_student(current: Registration, student_id: int, sender: Sender) -> Judgement:
    """For the followers of the wrong student the registration ends, for those of the right one it comes."""
    if current.student_id == student_id:
        return Judgement(Outcome.ACCEPTED, current, (), (Finding.CONFIRMS_CURRENT,))
    after = replace(current, student_id=student_id)
    lost = _change(ChangeKind.ANNULLED, current, current.status, sender.recorded_at, sender)
    found = _change(ChangeKind.CORRECTED, after, current.status, sender.recorded_at, sender)
    return Judgement(Outcome.ACCEPTED, after, (lost, found))


def _replace_status(current: Registration, correction: Correction, sender: Sender) -> Judgement:
    status = correction.status or current.status
    occurred_at = correction.occurred_at or current.status_since
    same = current.status is status and current.status_since == occurred_at
    if same and current.annulled_by is None:
        return Judgement(Outcome.ACCEPTED, current, (), (Finding.CONFIRMS_CURRENT,))
    after = replace(
        current,
        status=status,
        status_since=occurred_at,
        status_source=sender.source,
        effective_at=max(current.effective_at, min(occurred_at, sender.recorded_at)),
        annulled_by=None,
    )
    change = _change(ChangeKind.CORRECTED, after, current.status, occurred_at, sender)
    return Judgement(Outcome.ACCEPTED, after, (change,), _lateness(occurred_at, sender))


def _heard(current: Registration, sender: Sender) -> Registration:
    return replace(
        current,
        last_confirmed_at=max(current.last_confirmed_at, sender.recorded_at),
        reported_by=_reporters(current, sender),
    )


def _reporters(current: Registration, sender: Sender) -> tuple[int, ...]:
    known = current.reported_by
    return known if sender.organisation_id in known else (*known, sender.organisation_id)


def _lateness(occurred_at: datetime, sender: Sender) -> tuple[Finding, ...]:
    return (Finding.LATE,) if sender.recorded_at - occurred_at > codes.LATE_AFTER else ()


def _change(
    kind: ChangeKind, after: Registration, previous: Status | None, occurred_at: datetime, sender: Sender
) -> Change:
    return Change(
        kind, after.student_id, after.status, previous, after.learning_path, sender.source, occurred_at
    )
