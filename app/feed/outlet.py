"""Straight ways to clients: what was made once for all who ask alike is written without waking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_Source = TypeVar("_Source")
_Other = TypeVar("_Other")


class Line(Protocol):
    """The connection of one client."""

    @property
    def late(self) -> bool:
        """Whether the client leaves pings unanswered; who answers is served first."""
        ...

    def write(self, frame: bytes) -> bool:
        """Write at once, or return False: the client is behind, or the connection ends."""
        ...


class Outlet(Generic[_Source]):
    """Where the changes of one subscription go as long as its client keeps up.

    Outlets with equal keys get the same bytes, which `make` makes for the first of them; it returns None for
    what cannot be made here.
    """

    __slots__ = ("key", "line", "make")

    def __init__(self, line: Line, key: Hashable, make: Callable[[_Source], bytes | None]) -> None:
        self.line = line
        self.key = key
        self.make = make

    def through(self, key: Hashable, translate: Callable[[_Other], _Source]) -> Outlet[_Other]:
        """Return an outlet for what has to be translated first; `key` stands for the translation."""
        make = self.make
        return Outlet(self.line, (key, self.key), lambda source: make(translate(source)))
