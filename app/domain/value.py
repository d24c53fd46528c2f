"""Values of the hot paths: made by the thousand, never changed.

`frozen=True` makes a dataclass set each field through `object.__setattr__`: eleven fields take 1.9 µs instead
of 0.5. So these are frozen for the type checker, which is what finds a change, and plain at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast, dataclass_transform

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True)
def value(cls: Class) -> Class:
    """Return the class as a dataclass with slots, equality and a hash; mypy refuses to change its objects."""
    return cast("Class", dataclass(slots=True, unsafe_hash=True)(cls))
