"""How much a client may do in a time: buckets that fill up again, and counts of an hour or a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class RateKind(StrEnum):
    """What is measured by buckets."""

    REQUESTS = "requests"
    COST = "cost"
    TOKENS = "tokens"


class QuotaKind(StrEnum):
    """What is counted exactly."""

    FOLLOWS = "follows"
    FAILED_NUMBERS = "failed_numbers"


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket: what flows in a second, and what it holds."""

    a_second: float
    burst: float


class Bucket:
    """What is left to one client in this process; `spent` is what the other processes have not heard of."""

    __slots__ = ("_at", "_rate", "spent", "tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._at = now
        self.tokens = rate.burst
        self.spent = 0.0

    def spend(self, amount: float, now: float) -> float:
        """Spend, and return 0; or return the seconds to wait, with nothing spent.

        While anything is left even more may be spent, else a large request might never have its turn: the
        debt is waited for afterwards.
        """
        self._fill(now)
        if self.tokens <= 0:
            return (1 - self.tokens) / self._rate.a_second
        self.tokens -= amount
        self.spent += amount
        return 0

    def is_idle(self, now: float) -> bool:
        """Tell whether the bucket is as good as a new one."""
        self._fill(now)
        return not self.spent and self.tokens >= self._rate.burst

    def agree(self, tokens: float, now: float) -> None:
        """Take over what all processes together have left; what was spent since then is spent."""
        self.tokens = tokens - self.spent
        self._at = now

    def _fill(self, now: float) -> None:
        self.tokens = min(self._rate.burst, self.tokens + (now - self._at) * self._rate.a_second)
        self._at = now


@dataclass(frozen=True, slots=True)
class Quotas:
    """How often in a day (UTC) or an hour."""

    follows_per_day: int = 250_000
    failed_numbers_per_hour: int = 5_000


@dataclass(frozen=True, slots=True)
class Window:
    """The day or the hour that a moment lies in."""

    since: datetime
    until: datetime

    @classmethod
    def day(cls, now: datetime) -> Window:
        """Return the day; `now` is in UTC."""
        since = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(since, since + timedelta(days=1))

    @classmethod
    def hour(cls, now: datetime) -> Window:
        """Return the hour; `now` is in UTC."""
        since = now.replace(minute=0, second=0, microsecond=0)
        return cls(since, since + timedelta(hours=1))

    def left(self, now: datetime) -> float:
        """Return the seconds until the window ends."""
        return max(0.0, (self.until - now).total_seconds())


UNUSUAL_FACTOR = 3
UNUSUAL_AT_LEAST = 1000  # small systems double themselves on any Monday


def becomes_unusual(before: int, after: int, most_in_a_day: int) -> bool:
    """Tell whether follows of a day just passed what is far more than on any day before."""
    threshold = max(UNUSUAL_AT_LEAST, UNUSUAL_FACTOR * most_in_a_day)
    return before <= threshold < after
