"""Students who do not exist, with personal numbers that pass the check (elfproef).

The numbers count down from 999989999 to 990000000. The test persons that RvIG publishes stand just above
(99999xxxx) and are left alone; no number of this height is known to belong to somebody. All the same they
are handled like the numbers of people: never shown, never logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HIGHEST = 99_998_999  # without the check digit
_POSITIONS = 998_999 + 1
_WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2)
_ELEVEN = 11


@dataclass(frozen=True, slots=True)
class Student:
    """A student under the key that every transfer system of the simulation uses for it."""

    reference: str
    personal_number: str = field(repr=False)


def students(start: int) -> Iterator[Student]:
    """Yield different students, the same ones for the same start; about 908,000 until they begin again."""
    position = start
    while True:
        position %= _POSITIONS
        stem = str(_HIGHEST - position)
        check = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, stem, strict=True)) % _ELEVEN
        if check < _ELEVEN - 1:
            yield Student(f"L{position:06d}", f"{stem}{check}")
        position += 1
