"""What is made of one object for many: made for the first who asks, and kept while others may follow.

A change goes to all subscriptions of its receiver as one and the same object. What is made of it is found by
that object's identity, so nothing that was read at another time, or for somebody else, is ever shared.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Made = TypeVar("_Made")


class Shared(Generic[_Key, _Made]):
    """The latest things that were made of (object, key): at most so many."""

    def __init__(self, at_most: int = 1024) -> None:
        self._at_most = at_most
        self._made: OrderedDict[tuple[int, _Key], tuple[object, _Made]] = OrderedDict()

    def get(self, source: object, key: _Key, make: Callable[[], _Made]) -> _Made:
        """Return what was made of this very object, or make it. The object is held, so its id is its own."""
        place = (id(source), key)
        known = self._made.get(place)
        if known is not None and known[0] is source:
            return known[1]
        made = make()
        self._made[place] = (source, made)
        if len(self._made) > self._at_most:
            self._made.popitem(last=False)
        return made
