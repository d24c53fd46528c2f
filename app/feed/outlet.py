"""Straight ways to clients: what was made once for all who ask alike is written without waking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

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


class Place:
    """Stands for a key and a name that many outlets have: one for all of them, told by its identity."""

    __slots__ = ("__weakref__",)


_PLACES: WeakValueDictionary[tuple[Hashable, Hashable], Place] = WeakValueDictionary()


class Outlet(Generic[_Source]):
    """Where the changes of one subscription go as long as its client keeps up.

    A frame is made in two steps: what all outlets with an equal `key` share, and what those with an equal
    `place` share. Both may raise whatever they like: then the subscription has to do it.
    """

    __slots__ = ("_frame", "_name", "_share", "key", "line", "place")

    def __init__(
        self,
        line: Line,
        name: Hashable,
        frame: Callable[[_Source], bytes],
        *,
        key: Hashable = None,
        share: Callable[[_Source], object] | None = None,
    ) -> None:
        self.line = line
        self.key = key
        self.place = _PLACES.setdefault((key, name), Place())
        self._name = name
        self._frame = cast("Callable[[object], bytes]", frame)
        self._share = share

    def share(self, source: _Source) -> object:
        """Return what is made of a change for all with this key."""
        return source if self._share is None else self._share(source)

    def frame(self, shared: object) -> bytes:
        """Return the frame that holds what was shared."""
        return self._frame(shared)

    def through(self, key: Hashable, translate: Callable[[_Other], _Source]) -> Outlet[_Other]:
        """Return an outlet for what has to be translated first; `key` stands for the translation."""
        share = self.share
        return Outlet(
            self.line,
            self._name,
            cast("Callable[[_Other], bytes]", self._frame),
            key=(key, self.key),
            share=lambda source: share(translate(source)),
        )
