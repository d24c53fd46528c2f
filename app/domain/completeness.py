"""Registrations that a SIS holds back without a word: never confirmed, or stuck long after their peers.

A **group** are the registrations of one school year whose programme has the same level and that the hub got
to know in the same week. Once a group is four weeks old and three quarters of it, all over the country, have
another status than RECEIVED, the others are **stuck**, unless the hub heard of them in the last two weeks.
The share of an institution is compared with that of all others together.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from app.domain.delivery import Completeness, DeliveryFinding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

UNCONFIRMED_AFTER = timedelta(days=7)
UNHEARD_AFTER = timedelta(days=14)

_OLD_ENOUGH = timedelta(days=28)
_MOVED = 0.75
_GROUP_AT_LEAST = 10
_ELSEWHERE_AT_LEAST = 100
_INSTITUTIONS_AT_LEAST = 3  # others, so that no institution reads off another's figures
_ENOUGH = 10
_UNCONFIRMED_SHARE = 0.05
_STUCK_SHARE = 0.05
_STUCK_TIMES = 2


@dataclass(frozen=True, slots=True)
class GroupPart:
    """Registrations of one institution in one group that the same organisations reported.

    `waiting` are RECEIVED, `unheard` those of them that the hub has not heard of for two weeks; `unconfirmed`
    are live and older than a week.
    """

    brin: str
    school_year: int
    level: int
    week: date
    reported_by: tuple[int, ...]
    registrations: int
    waiting: int
    unheard: int
    unconfirmed: int

    @property
    def group(self) -> tuple[int, int, date]:
        """What its peers have in common."""
        return self.school_year, self.level, self.week


@dataclass(slots=True)
class _Tally:
    registrations: int = 0
    from_cambo: int = 0
    unconfirmed: int = 0
    compared: int = 0
    stuck: int = 0


@dataclass(slots=True)
class SenderTally:
    """Registrations that a sender has reported about, those in judged groups, and those that are stuck."""

    registrations: int = 0
    compared: int = 0
    stuck: int = 0


@dataclass(frozen=True, slots=True)
class National:
    """The completeness of each institution, and what each sender (BRIN, organisation) has to do with it."""

    institutions: dict[str, Completeness]
    senders: dict[tuple[str, int], SenderTally] = field(default_factory=dict)


def completeness(parts: Iterable[GroupPart], cambo: Collection[int], today: date) -> National:
    """Judge all registrations; `cambo` are the organisations that are no SIS."""
    every = list(parts)
    judged = _judged_groups(every, today)
    institutions: dict[str, _Tally] = defaultdict(_Tally)
    senders: dict[tuple[str, int], SenderTally] = defaultdict(SenderTally)
    for part in every:
        tally = institutions[part.brin]
        vendors = [one for one in part.reported_by if one not in cambo]
        compared, stuck = (part.registrations, part.unheard) if part.group in judged else (0, 0)
        tally.registrations += part.registrations
        tally.from_cambo += part.registrations if len(vendors) < len(part.reported_by) else 0
        tally.unconfirmed += 0 if vendors else part.unconfirmed
        if vendors:  # of the others no SIS is known to hold them: they are unconfirmed
            tally.compared += compared
            tally.stuck += stuck
        for vendor in vendors:
            sender = senders[part.brin, vendor]
            sender.registrations += part.registrations
            sender.compared += compared
            sender.stuck += stuck
    return National({brin: _told(brin, institutions) for brin in institutions}, dict(senders))


def is_stuck(compared: int, stuck: int, elsewhere: float | None) -> bool:
    """Tell whether so many are a finding: ten, more than 5 %, and more than twice the share elsewhere."""
    return stuck >= _ENOUGH and stuck > max(_STUCK_SHARE, _STUCK_TIMES * (elsewhere or 0.0)) * compared


def _judged_groups(parts: Iterable[GroupPart], today: date) -> set[tuple[int, int, date]]:
    sizes: dict[tuple[int, int, date], list[int]] = defaultdict(lambda: [0, 0])
    for part in parts:
        sizes[part.group][0] += part.registrations
        sizes[part.group][1] += part.registrations - part.waiting
    return {
        group
        for group, (size, moved) in sizes.items()
        if size >= _GROUP_AT_LEAST and moved >= _MOVED * size and group[2] + _OLD_ENOUGH <= today
    }


def _told(brin: str, institutions: dict[str, _Tally]) -> Completeness:
    own = institutions[brin]
    others = [one for name, one in institutions.items() if name != brin and one.compared]
    compared = sum(one.compared for one in others)
    elsewhere = (
        sum(one.stuck for one in others) / compared
        if len(others) >= _INSTITUTIONS_AT_LEAST and compared >= _ELSEWHERE_AT_LEAST
        else None
    )
    findings = []
    if own.unconfirmed >= _ENOUGH and own.unconfirmed > _UNCONFIRMED_SHARE * own.from_cambo:
        findings.append(DeliveryFinding.UNCONFIRMED)
    if is_stuck(own.compared, own.stuck, elsewhere):
        findings.append(DeliveryFinding.STUCK)
    return Completeness(
        brin,
        own.registrations,
        own.from_cambo,
        own.unconfirmed,
        own.compared,
        own.stuck,
        None if elsewhere is None else round(elsewhere, 4),
        tuple(findings),
    )
