"""How long what the hub knows of a student stays, and when that is announced.

Source: the retention of the chain's agreements. One year after the last change of a student's registrations
everything about the student goes; some weeks before, CAMBO is told, so that it can write to the student. What
changes in between keeps the student for another year.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from app.domain.registration import ChangeKind

if TYPE_CHECKING:
    from datetime import datetime, timedelta


class Step(Enum):
    """Nothing is due, or everything about the student is to go now."""

    KEEP = auto()
    REMOVE = auto()


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell that everything about the student will go at this moment."""

    removal_at: datetime


@dataclass(frozen=True, slots=True)
class Trace:
    """What the hub last saw of a student.

    `kind`, `occurred_at` and `recorded_at` are those of the newest event of the student's registrations that
    was no OUTDATED one, None without registrations; `followed` tells whether somebody follows the student
    today, and `follow_ended_at` when the last follow ended, None without any.
    """

    student_id: int
    kind: ChangeKind | None
    occurred_at: datetime | None
    recorded_at: datetime | None
    followed: bool
    follow_ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """For how long a student is kept after the last change, and how long before the end that is announced."""

    kept: timedelta
    notice: timedelta

    def decide(self, trace: Trace, now: datetime) -> Step | Announce:
        """Return what is due for a student.

        An announcement that came late, since the hub was down, moves the removal: the notice is never
        shorter than promised. Who has no registration stays while somebody follows, and goes without an
        announcement: there is nothing to announce.
        """
        if trace.recorded_at is None:
            ended_at = trace.follow_ended_at
            over = not trace.followed and (ended_at is None or ended_at + self.kept <= now)
            return Step.REMOVE if over else Step.KEEP
        if trace.kind is ChangeKind.REMOVAL_ANNOUNCED:
            due = trace.occurred_at is not None and trace.occurred_at <= now
            return Step.REMOVE if due else Step.KEEP
        if trace.recorded_at + self.kept - self.notice > now:
            return Step.KEEP
        return Announce(max(trace.recorded_at + self.kept, now + self.notice))
