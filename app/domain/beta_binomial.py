"""Counts whose chance is itself uncertain: the Beta-Binomial distribution.

The chance is drawn once for n registrations, from Beta(a, b) with mean m and correlation r = 1 / (a + b + 1).
So the count has mean n m and variance n m (1 - m) (1 + (n - 1) r).
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_COUNTED = 2_000  # above, the normal distribution does
_NORMAL_95 = 1.96
_NEGLIGIBLE = 1e-12


def correlation(groups: Iterable[tuple[int, int, float]], least: float, most: float) -> float:
    """Return how much chances differ between groups beyond what is due to their size, by moments.

    A group is its size, how many of it came true, and the chance expected for each.
    """
    excess = pairs = 0.0
    for size, true, chance in groups:
        spread = chance * (1 - chance)
        if spread:
            excess += (true - size * chance) ** 2 / spread - size
            pairs += size * (size - 1)
    return min(most, max(least, excess / pairs)) if pairs else most


def interval(size: int, mean: float, variance: float) -> tuple[float, float]:
    """Return what 95 % of counts out of `size` lie between (both included), given mean and variance."""
    if size <= 0 or not 0 < mean < size:
        bound = min(max(mean, 0.0), float(max(size, 0)))
        return bound, bound
    independent = mean * (1 - mean / size)
    if variance < independent:
        # Chances that differ make for less variance: that of fewer counts with one greater chance.
        size = min(size, ceil(mean**2 / (mean - variance)))
    if size > _MOST_COUNTED:
        margin = _NORMAL_95 * sqrt(variance)
        return max(0.0, mean - margin), min(float(size), mean + margin)
    masses = _masses(size, mean / size, variance)
    least, most = min(masses), max(masses)
    left = 0.025 * sum(masses.values())
    low, high = least, most
    below = masses[low]
    while below < left:
        low += 1
        below += masses[low]
    above = masses[high]
    while above < left:
        high -= 1
        above += masses[high]
    return float(low), float(high)


def _masses(size: int, chance: float, variance: float) -> dict[int, float]:
    """Return the masses of all counts that matter, as multiples of that of the count next to the mean."""
    independent = size * chance * (1 - chance)
    correlated = (variance / independent - 1) / (size - 1) if size > 1 else 0.0
    # (k + a) / (n - k - 1 + b), with numerator and denominator multiplied by r / (1 - r): r may be none.
    weight = min(max(correlated, 0.0), 0.99)
    weight /= 1 - weight

    def ratio(count: int) -> float:
        """Return the mass of one more, as a multiple of that of `count`."""
        up = (size - count) * (count * weight + chance)
        return up / ((count + 1) * ((size - count - 1) * weight + 1 - chance))

    centre = round(size * chance)
    masses = {centre: 1.0}
    mass, count = 1.0, centre
    while count < size and mass > _NEGLIGIBLE:
        mass *= ratio(count)
        count += 1
        masses[count] = mass
    mass, count = 1.0, centre
    while count > 0 and mass > _NEGLIGIBLE:
        mass /= ratio(count - 1)
        count -= 1
        masses[count] = mass
    return masses
