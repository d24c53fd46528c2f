"""How registrations really move: shares of all registrations, in percent, in the school year 2024.

Source: the published slides and data dictionary of the CAMBO data, github.com/cedanl/instroomprognose-mbo
(Apache-2.0). The slides leave out transitions that are rare.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Step(StrEnum):
    """A station of a registration. SUBMITTED is one inside CAMBO only: the hub never hears of it."""

    START = "START"
    SUBMITTED = "SUBMITTED"
    RECEIVED = "RECEIVED"
    OFFERED = "OFFERED"
    ENROLLED = "ENROLLED"
    WITHDRAWN = "WITHDRAWN"
    REJECTED = "REJECTED"
    END = "END"


Transition = tuple[Step, Step]

# In how many registrations a transition occurs.
TRANSITIONS: Mapping[Transition, float] = MappingProxyType(
    {
        (Step.START, Step.RECEIVED): 39.45,
        (Step.START, Step.SUBMITTED): 33.12,
        (Step.START, Step.ENROLLED): 12.95,
        (Step.START, Step.OFFERED): 8.07,
        (Step.START, Step.WITHDRAWN): 6.14,
        (Step.START, Step.REJECTED): 0.27,
        (Step.ENROLLED, Step.END): 34.38,
        (Step.OFFERED, Step.END): 23.72,
        (Step.RECEIVED, Step.END): 22.44,
        (Step.WITHDRAWN, Step.END): 17.64,
        (Step.SUBMITTED, Step.END): 1.0,
        (Step.REJECTED, Step.END): 0.82,
        (Step.SUBMITTED, Step.RECEIVED): 50.44,
        (Step.RECEIVED, Step.SUBMITTED): 16.76,
        (Step.RECEIVED, Step.RECEIVED): 60.44,
        (Step.RECEIVED, Step.OFFERED): 47.72,
        (Step.OFFERED, Step.RECEIVED): 24.73,
        (Step.RECEIVED, Step.ENROLLED): 35.42,
        (Step.ENROLLED, Step.RECEIVED): 19.42,
        (Step.OFFERED, Step.ENROLLED): 21.17,
        (Step.ENROLLED, Step.OFFERED): 14.08,
        (Step.RECEIVED, Step.WITHDRAWN): 16.62,
        (Step.WITHDRAWN, Step.RECEIVED): 8.37,
    }
)

# How many registrations reach a status.
REACHED: Mapping[Step, float] = MappingProxyType(
    {
        Step.SUBMITTED: 53.81,
        Step.RECEIVED: 91.01,
        Step.OFFERED: 66.58,
        Step.ENROLLED: 65.99,
        Step.WITHDRAWN: 27.64,
        Step.REJECTED: 1.17,
    }
)

# How many students have 1, 2, … registrations in a school year: our estimate, the figures are not published.
REGISTRATIONS_OF_A_STUDENT = (60.0, 22.0, 10.0, 5.0, 3.0)

# The shares above are no chances: a chance depends on where a registration has been. These weights were
# fitted to them for the walk in `journeys.py`, which comes out within 3 percentage points of each transition
# and 5 of each status. The last five are rare ones that the slides leave out and the sums ask for.
WEIGHTS: Mapping[Step, Mapping[Step, float]] = MappingProxyType(
    {
        Step.START: {
            Step.RECEIVED: 39.45,
            Step.SUBMITTED: 33.12,
            Step.ENROLLED: 12.95,
            Step.OFFERED: 8.07,
            Step.WITHDRAWN: 6.14,
            Step.REJECTED: 0.27,
        },
        Step.SUBMITTED: {Step.END: 1.21, Step.RECEIVED: 98.79},
        Step.RECEIVED: {
            Step.END: 3.77,
            Step.SUBMITTED: 7.08,
            Step.RECEIVED: 50.86,
            Step.OFFERED: 21.29,
            Step.ENROLLED: 13.47,
            Step.WITHDRAWN: 3.45,
            Step.REJECTED: 0.09,
        },
        Step.OFFERED: {
            Step.END: 18.78,
            Step.RECEIVED: 48.84,
            Step.ENROLLED: 29.9,
            Step.REJECTED: 0.32,
            Step.WITHDRAWN: 2.16,
        },
        Step.ENROLLED: {
            Step.END: 30.47,
            Step.RECEIVED: 39.9,
            Step.OFFERED: 27.28,
            Step.WITHDRAWN: 2.35,
        },
        Step.WITHDRAWN: {Step.END: 49.16, Step.RECEIVED: 50.84},
        Step.REJECTED: {Step.END: 58.14, Step.RECEIVED: 41.86},
    }
)
