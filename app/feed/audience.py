"""Those who listen to one feed in this process, and what has come of it lately.

A listener trusts numbers and nothing else. It takes from what has come lately exactly the number that it
wants; when that is not there, is no longer fresh, or something is in doubt, it goes back to the table. So
nothing that is kept here is ever needed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from app.domain.feed import StatusChange
    from app.feed.outlet import Outlet

_KEPT = 1024
_SHARED = 16
_FRESH_SECONDS = 1.0


class Ready:
    """A change as it was read, and what was made of it for those who ask alike.

    Each subscription may have a document and an id of its own, so what is kept for others is bounded.
    """

    __slots__ = ("_frames", "_shared", "at", "change")

    def __init__(self, change: StatusChange, at: float) -> None:
        self.change = change
        self.at = at
        self._shared: dict[Hashable, object] = {}
        self._frames: dict[Hashable, bytes] = {}

    def frame(self, outlet: Outlet[StatusChange]) -> bytes | None:
        """Return the frame for an outlet; None where it cannot be made."""
        return self._frames.get(outlet.place) or self._make(outlet)

    def _make(self, outlet: Outlet[StatusChange]) -> bytes | None:
        try:
            shared = self._shared.get(outlet.key)
            if shared is None:
                shared = outlet.share(self.change)
                if len(self._shared) < _SHARED:
                    self._shared[outlet.key] = shared
            frame = outlet.frame(shared)
        except Exception:  # noqa: BLE001 - the subscription meets it again, and tells its client
            return None
        if len(self._frames) < _SHARED:
            self._frames[outlet.place] = frame
        return frame


class Audience:
    """The listeners of one receiver, in the order in which they came."""

    __slots__ = ("_recent", "last", "listeners")

    def __init__(self) -> None:
        self.listeners: dict[Listener, None] = {}
        self.last = 0
        self._recent: dict[int, Ready] = {}

    def add(self, change: StatusChange) -> None:
        """Take in what the tail has read."""
        number = change.number
        if number != self.last + 1:
            self._recent.clear()
        elif len(self._recent) >= _KEPT:
            del self._recent[number - _KEPT]
        self._recent[number] = Ready(change, now())
        self.last = number

    def forget(self) -> None:
        """Let go of everything if the newest of it may not be delivered any more as it was read."""
        if self._recent and not is_fresh(self._recent[self.last].at):
            self._recent.clear()

    def find(self, number: int) -> Ready | None:
        """Return what has come lately under this number."""
        return self._recent.get(number)

    def poke(self, *, up_to: int) -> int:
        """Send to the table who waits for a number up to this one; return how many those are."""
        missing = [one for one in self.listeners if one.is_waiting and one.wanted <= up_to]
        for listener in missing:
            listener.poke()
        return len(missing)

    def poke_all(self) -> None:
        """Send everybody to the table."""
        for listener in self.listeners:
            listener.poke()


class Listener:
    """The place of one subscription. `wanted` is the number that it gets next."""

    __slots__ = ("_audience", "_in_doubt", "_known", "_waiting", "outlet", "wanted")

    def __init__(self, audience: Audience, outlet: Outlet[StatusChange] | None = None) -> None:
        self._audience = audience
        self.outlet = outlet
        self.wanted = 1
        self._known = 0
        self._in_doubt = False
        self._waiting: asyncio.Future[None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it has everything that it knows of."""
        return self._waiting is not None

    def poke(self) -> None:
        """Say that there may be something in the table that is not handed in."""
        self._in_doubt = True
        self._wake()

    def trust(self) -> None:
        """Say that the table is about to be read: it has all that has come up to now."""
        self._known = self._audience.last
        self._in_doubt = False

    async def next(self) -> StatusChange | None:
        """Wait for the wanted change and move on by one; None when the table has to be asked.

        That is so when the change is stale, when a later one has come without it, and when the tail does not
        know. While this waits, changes may leave by the outlet: `wanted` tells.
        """
        while not self._in_doubt:
            ready = self._audience.find(self.wanted)
            if ready is not None and is_fresh(ready.at):
                self.wanted += 1
                return ready.change
            if self._audience.last >= self.wanted and self._audience.last > self._known:
                return None
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return None

    def serve(self, earliest: float) -> None:
        """Write what has come since by the outlet; where that does not go on, wake the subscription.

        What was read before `earliest` (of the loop's clock) is not written.
        """
        if self._waiting is None:
            return  # it reads, or sends, and looks by itself when it is done
        outlet, audience = self.outlet, self._audience
        last = audience.last
        while self.wanted <= last and outlet is not None:
            ready = audience.find(self.wanted)
            if ready is None or ready.at < earliest:
                break
            frame = ready.frame(outlet)
            if frame is None or not outlet.line.write(frame):
                break
            self.wanted += 1
        if self.wanted <= last:
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def now() -> float:
    """Return the time of the loop's clock."""
    return asyncio.get_running_loop().time()


def earliest_fresh() -> float:
    """Return since when a change must have been read to be delivered as it is."""
    return now() - _FRESH_SECONDS


def is_fresh(since: float) -> bool:
    """Tell whether what was read at this moment (of the loop's clock) may still be delivered as it is."""
    return since >= earliest_fresh()
