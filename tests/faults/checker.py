"""What clients recorded, and whether the hub kept its word: pure, and tested for what it must catch.

A message is known by its application id and its time at the institution: senders never use one twice.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as it was sent; `accepted` once it was answered so."""

    application_id: str
    occurred_at: str
    status: str
    accepted: bool = False

    @property
    def key(self) -> Key:
        """What makes it one message, however often it is sent."""
        return self.application_id, self.occurred_at


@dataclass(frozen=True, slots=True)
class Heard:
    """A change as it came over one connection."""

    number: int
    application_id: str
    occurred_at: str
    status: str

    @property
    def key(self) -> Key:
        """The message that made it."""
        return self.application_id, self.occurred_at


@dataclass(slots=True)
class Recorder:
    """What one receiver heard: a list for each connection, with the number after which it asked."""

    receiver: str
    applications: frozenset[str]
    connections: list[tuple[int, list[Heard]]] = field(default_factory=list)

    def connected(self, after: int) -> list[Heard]:
        """Begin the list of a new connection."""
        heard: list[Heard] = []
        self.connections.append((after, heard))
        return heard

    @property
    def last_number(self) -> int:
        """The last number heard, 0 before the first."""
        return max((heard[-1].number for _, heard in self.connections if heard), default=0)


def problems(sent: list[Sent], recorders: list[Recorder]) -> list[str]:
    """Return every promise that was broken, in words; nothing when all were kept."""
    known = {message.key: message for message in sent}
    accepted = {message.key for message in sent if message.accepted}
    return [
        f"{recorder.receiver}: {problem}"
        for recorder in recorders
        for problem in _problems_of(recorder, known, accepted)
    ]


def _problems_of(recorder: Recorder, known: dict[Key, Sent], accepted: set[Key]) -> Iterator[str]:
    by_number: dict[int, Heard] = {}
    for after, heard in recorder.connections:
        expected = after
        for change in heard:
            expected += 1
            if change.number != expected:
                yield f"hole: {change.number} came where {expected} was due"
                expected = change.number
            before = by_number.setdefault(change.number, change)
            if before != change:
                yield f"repeat: {change.number} was {before} and then {change}"
    if missing := set(range(1, max(by_number, default=0) + 1)) - set(by_number):
        yield f"hole: {sorted(missing)[:5]} never came"
    yield from _about_messages([by_number[number] for number in sorted(by_number)], known)
    told = {change.key for change in by_number.values()}
    for key in sorted(accepted - told):
        if key[0] in recorder.applications:
            yield f"loss: {key} was accepted and never heard"


def _about_messages(feed: list[Heard], known: dict[Key, Sent]) -> Iterator[str]:
    numbers_of: dict[Key, list[int]] = defaultdict(list)
    latest: dict[str, str] = {}
    for change in feed:
        numbers_of[change.key].append(change.number)
        message = known.get(change.key)
        if message is None:
            yield f"invention: {change} was never sent"
        elif message.status != change.status:
            yield f"invention: {change} was sent as {message.status}"
        if change.occurred_at < latest.get(change.application_id, ""):
            yield f"order: {change} came after {latest[change.application_id]}"
        latest[change.application_id] = max(change.occurred_at, latest.get(change.application_id, ""))
    for key, numbers in numbers_of.items():
        if len(numbers) > 1:
            yield f"twice: {key} has the numbers {numbers}"
