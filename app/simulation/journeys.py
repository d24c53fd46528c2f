"""The walk of one registration through its stations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.simulation.facts import WEIGHTS, Step

if TYPE_CHECKING:
    from random import Random

# A status that was reached before is seldom reached again: how much less.
_AGAIN = 0.05
_RECEIVED_AGAIN = 0.35


def journey(random: Random) -> tuple[Step, ...]:
    """Return the stations of a registration, without START and END, SUBMITTED included; never empty.

    Each transition occurs once at most, but for those out of SUBMITTED.
    """
    here = Step.START
    used: set[tuple[Step, Step]] = set()
    steps: list[Step] = []
    while True:
        choices, weights = [], []
        for there, weight in WEIGHTS[here].items():
            if (here, there) in used and here is not Step.SUBMITTED:
                continue
            choices.append(there)
            weights.append(weight * _reluctance(here, there, steps))
        there = random.choices(choices, weights)[0]
        if there is Step.END:
            return tuple(steps)
        used.add((here, there))
        steps.append(there)
        here = there


def _reluctance(here: Step, there: Step, before: list[Step]) -> float:
    if there not in before or there is here:
        return 1.0
    return _RECEIVED_AGAIN if there is Step.RECEIVED else _AGAIN
