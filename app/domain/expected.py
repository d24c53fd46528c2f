"""How many registrations are expected to become enrolments, without history: one rule.

A student becomes one enrolment at most, and this one chance is shared over the student's live registrations
in a school year by the weight of their status (`STATUS_WEIGHT`). The interval is that of a sum of independent
chances (normal, 95 %). With history: `app.domain.history`.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from app.domain.cube import MILLION

if TYPE_CHECKING:
    from app.domain.cube import Cell

_NORMAL_95 = 1.96
_WITHOUT_HISTORY = 0.0


def by_rule(_brin: str, _category: str, cell: Cell) -> tuple[float, float, float, float]:
    """Return value, low and high of a cell, and that no school year stands behind them."""
    value = cell.expected / MILLION
    margin = _NORMAL_95 * sqrt(cell.variance / MILLION)
    return value, max(0.0, value - margin), min(float(cell.live), value + margin), _WITHOUT_HISTORY
