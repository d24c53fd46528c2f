"""Who delivers, and who has fallen silent: "no change" and "no delivery" told apart. No person stands in it.

Days are counted in **school days**: the weekdays before today on which at least a fifth of all senders that
were heard in the last 90 days sent something. So holidays, and days on which the hub itself was away, do not
count. With fewer than five such senders every weekday counts.

A sender is one SIS vendor for one institution. Its rhythm are the gaps between the days on which it was
heard, in the 90 days up to the last one: the median, and the long gap that 95 % do not exceed. It is
**silent** after twice its long gap, but not before three school days; one that was heard on fewer than five
days has no rhythm yet, and is silent after twenty.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.domain.client import Organisation
    from app.domain.status_message import Refusal

WINDOW = timedelta(days=90)
COUNTED = timedelta(days=30)  # what shares of messages are about

_SATURDAY = 5
_HEARD_SHARE = 0.2
_FEW_SENDERS = 5
_LONG = 0.95
_RHYTHM_DAYS = 5
_SILENT_TIMES = 2
_SILENT_AT_LEAST = 3
_SILENT_WITHOUT_RHYTHM = 20
_NEVER_AFTER = 10  # school days of a mandate

# Delays are counted in buckets: below 1, 2, 4, … 32,768 minutes (23 days), and above.
DELAY_BOUNDS = tuple(60 * 2**power for power in range(16))  # seconds


class SenderState(StrEnum):
    """Whether a sender delivers. NEW: it has no rhythm yet. NEVER_HEARD: a mandate, and no message."""

    DELIVERING = "DELIVERING"
    NEW = "NEW"
    SILENT = "SILENT"
    NEVER_HEARD = "NEVER_HEARD"


class DeliveryFinding(StrEnum):
    """What is remarkable about a delivery. The rules are those of `found` and of `completeness`."""

    SILENT = "SILENT"
    NEVER_HEARD = "NEVER_HEARD"
    UNCONFIRMED = "UNCONFIRMED"
    STUCK = "STUCK"
    REFUSED = "REFUSED"
    UNUSUAL = "UNUSUAL"
    LATE = "LATE"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a sender delivers, in school days. Gaps are None while it has no rhythm."""

    state: SenderState
    usual_gap: int | None
    long_gap: int | None
    days_without: int
    silent_after: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages of a sender over some days. `delays` by bucket; `heard` are the days."""

    messages: int = 0
    refused: int = 0
    unusual: int = 0
    late: int = 0
    delays: tuple[int, ...] = (0,) * (len(DELAY_BOUNDS) + 1)


@dataclass(frozen=True, slots=True)
class SenderDelivery:
    """What the hub has of one SIS vendor at one institution. Counts of messages are those of 30 days."""

    brin: str
    organisation: Organisation
    last_message_at: datetime | None
    rhythm: Rhythm
    counts: Counts
    registrations: int
    stuck: int
    findings: tuple[DeliveryFinding, ...]
    refusals: tuple[tuple[Refusal, int], ...] = ()

    @property
    def delay_median(self) -> int | None:
        """Minutes within which half came, up to a power of two; None: no message, or above 23 days."""
        return delay(self.counts.delays, 0.5)

    @property
    def delay_long(self) -> int | None:
        """The same of 95 % of the messages."""
        return delay(self.counts.delays, _LONG)


@dataclass(frozen=True, slots=True)
class Completeness:
    """How complete the registrations of an institution are, from the present school year on.

    `unconfirmed`: known from CAMBO for a week, live, and no SIS has said a word of them. `compared`: in
    groups of which enough is known to judge (see `stuck`). `elsewhere`: the share of stuck ones there.
    """

    brin: str
    registrations: int = 0
    from_cambo: int = 0
    unconfirmed: int = 0
    compared: int = 0
    stuck: int = 0
    elsewhere: float | None = None
    findings: tuple[DeliveryFinding, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryQuality:
    """An institution with its senders, as of two moments: messages are counted often, registrations daily."""

    completeness: Completeness
    senders: tuple[SenderDelivery, ...]
    as_of: datetime


def school_days(heard: Mapping[date, int], senders: int, first: date, today: date) -> list[date]:
    """Return the school days from `first` up to yesterday; `heard` tells how many senders were, by day."""
    needed = 0.0 if senders < _FEW_SENDERS else senders * _HEARD_SHARE
    days = (first + timedelta(days=number) for number in range((today - first).days))
    return [day for day in days if day.weekday() < _SATURDAY and heard.get(day, 0) >= needed]


def rhythm(heard: Sequence[date], days: Sequence[date], mandate_since: date) -> Rhythm:
    """Return how a sender delivers that was heard on these days. `days`: the school days. Both are sorted."""
    if not heard:
        waited = len(days) - bisect_left(days, mandate_since)
        state = SenderState.NEVER_HEARD if waited >= _NEVER_AFTER else SenderState.NEW
        return Rhythm(state, None, None, waited, _NEVER_AFTER)
    recent = [day for day in heard if day > heard[-1] - WINDOW]
    without = len(days) - bisect_right(days, heard[-1])
    if len(recent) < _RHYTHM_DAYS:
        state = SenderState.SILENT if without >= _SILENT_WITHOUT_RHYTHM else SenderState.NEW
        return Rhythm(state, None, None, without, _SILENT_WITHOUT_RHYTHM)
    places = [bisect_right(days, day) for day in recent]
    gaps = sorted(max(after - before, 1) for before, after in pairwise(places))
    long_gap = rank(gaps, _LONG)
    silent_after = max(_SILENT_AT_LEAST, _SILENT_TIMES * long_gap)
    state = SenderState.SILENT if without >= silent_after else SenderState.DELIVERING
    return Rhythm(state, rank(gaps, 0.5), long_gap, without, silent_after)


def rank(sorted_values: Sequence[int], share: float) -> int:
    """Return the smallest value that this share of the values does not exceed."""
    return sorted_values[max(ceil(share * len(sorted_values)) - 1, 0)]


def delay(buckets: Sequence[int], share: float) -> int | None:
    """Return the minutes within which this share came, as the bound of a bucket."""
    wanted = share * sum(buckets)
    for number, bound in enumerate(DELAY_BOUNDS, start=1):
        if 0 < wanted <= sum(buckets[:number]):
            return int(bound / 60)
    return None


def added(counts: Iterable[Counts]) -> Counts:
    """Return the sum."""
    every = list(counts)
    return Counts(
        sum(one.messages for one in every),
        sum(one.refused for one in every),
        sum(one.unusual for one in every),
        sum(one.late for one in every),
        tuple(map(sum, zip(Counts().delays, *(one.delays for one in every), strict=True))),
    )


_ENOUGH = 10
_REFUSED_SHARE = 0.05
_UNUSUAL_SHARE = 0.1
_LATE_SHARE = 0.2


def found(state: SenderState, counts: Counts) -> tuple[DeliveryFinding, ...]:
    """Return what is remarkable about a sender.

    REFUSED: more than 5 % of its messages. UNUSUAL: more than 10 % are unusual steps. LATE: more than 20 %
    came over a day after the student was told. Each needs ten cases at least.
    """
    shares = (
        (DeliveryFinding.REFUSED, counts.refused, counts.refused + counts.messages, _REFUSED_SHARE),
        (DeliveryFinding.UNUSUAL, counts.unusual, counts.messages, _UNUSUAL_SHARE),
        (DeliveryFinding.LATE, counts.late, counts.messages, _LATE_SHARE),
    )
    return (
        *((DeliveryFinding(state),) if state in {SenderState.SILENT, SenderState.NEVER_HEARD} else ()),
        *(finding for finding, cases, of, share in shares if cases >= _ENOUGH and cases > share * of),
    )
