"""A receiver at work: it follows students, hears its feed, and keeps what it heard under its numbers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.simulation.client import HubError
from app.simulation.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from app.simulation.client import HubClient
    from app.simulation.people import Student

CONTENT = "number kind reference applicationId status previousStatus occurredAt"
FOLLOW = """
mutation($input: FollowStudentsInput!) {
  followStudents(input: $input) { results { reference outcome code } }
}
"""
PAGE = f"""
query($after: Int!) {{
  statusChanges(after: $after, first: 1000) {{ changes {{ {CONTENT} }} hasNextPage }}
}}
"""
PRESENT = """
query($after: String) {
  followedStudents(first: 200, after: $after) {
    nodes { registrations { applicationId status } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
_STUDENTS_AT_ONCE = 1000
_MOST_OVERLAP = 25


@dataclass(frozen=True, slots=True)
class Heard:
    """A change as it was heard. Two with the same number must be equal; `arrived_at` counts not."""

    number: int
    kind: str
    reference: str | None
    application_id: str | None
    status: str | None
    previous_status: str | None
    occurred_at: str | None
    arrived_at: float = field(compare=False, default=0.0)

    @classmethod
    def read(cls, change: Mapping[str, object], now: float = 0.0) -> Heard:
        """Read a change of the API."""
        number = change["number"]
        if not isinstance(number, int):
            raise HubError("a change without a number")
        return cls(
            number,
            str(change["kind"]),
            _text(change["reference"]),
            _text(change["applicationId"]),
            _text(change["status"]),
            _text(change["previousStatus"]),
            _text(change["occurredAt"]),
            now,
        )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


class Receiver:
    """One transfer system, or CAMBO, which follows nobody and hears everything."""

    def __init__(
        self,
        client: HubClient,
        random: Random,
        *,
        selection: str = CONTENT,
        show: Callable[[Mapping[str, object]], None] | None = None,
    ) -> None:
        self.name = client.name
        self.start = 0
        self.heard: dict[int, Heard] = {}
        self.contradictions: list[str] = []
        self.last_arrival = time.perf_counter()
        self._client = client
        self._random = random
        self._last = 0
        self._show = show
        self._subscriber = Subscriber(client, selection)
        self._task: asyncio.Task[None] | None = None

    @property
    def reconnects(self) -> int:
        """How often the connection was made again."""
        return self._subscriber.reconnects

    async def begin(self) -> None:
        """Remember where the feed stands; what comes after it is to be heard."""
        feed = (await self._client.ask("{ feed { lastNumber } }"))["feed"]
        if not isinstance(feed, dict):
            raise HubError(f"{self.name} has no feed")
        self.start = self._last = int(feed["lastNumber"])

    async def follow(self, students: Sequence[Student]) -> None:
        """Follow students, 1,000 at a time. Raises HubError when one is refused."""
        for first in range(0, len(students), _STUDENTS_AT_ONCE):
            wishes = [
                {"personalNumber": student.personal_number, "reference": student.reference}
                for student in students[first : first + _STUDENTS_AT_ONCE]
            ]
            answer = (await self._client.ask(FOLLOW, {"input": {"students": wishes}}))["followStudents"]
            results = answer["results"] if isinstance(answer, dict) else []
            refused = sorted({str(one["code"]) for one in results if one["outcome"] == "REFUSED"})
            if refused or len(results) != len(wishes):
                raise HubError(f"{self.name} may not follow its students: {', '.join(refused)}")

    async def subscribe(self) -> None:
        """Hear from now on, in the background, until `stop`; returns once the connection stands."""
        self._task = asyncio.create_task(self._subscriber.run(self._resume_after, self._hear))
        listening = asyncio.create_task(self._subscriber.listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        self.check()

    def check(self) -> None:
        """Raise what ended the subscription, if something did."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def cut(self) -> None:
        """Lose the connection now, in one of the ways in which connections are lost."""
        await self._subscriber.cut(politely=self._random.random() < 0.5)  # noqa: PLR2004 - one half

    async def stop(self) -> None:
        """Hear no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def pull(self) -> dict[int, Heard]:
        """Return the same stretch of the feed by the other way, the query `statusChanges`."""
        pulled: dict[int, Heard] = {}
        after = self.start
        while True:
            page = (await self._client.ask(PAGE, {"after": after}))["statusChanges"]
            if not isinstance(page, dict):
                raise HubError(f"{self.name} gets no page of its feed")
            for change in page["changes"]:
                heard = Heard.read(change)
                pulled[heard.number] = heard
                after = heard.number
            if not page["hasNextPage"]:
                return pulled

    async def present(self) -> dict[str, str]:
        """Return the present status of every registration of the followed students, by application id."""
        found: dict[str, str] = {}
        after: str | None = None
        while True:
            page = (await self._client.ask(PRESENT, {"after": after}))["followedStudents"]
            if not isinstance(page, dict):
                raise HubError(f"{self.name} cannot ask for its students")
            for student in page["nodes"]:
                for registration in student["registrations"]:
                    found[registration["applicationId"]] = registration["status"]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]

    def _resume_after(self) -> int:
        # Asking for a little that is known already shows that a number keeps its meaning.
        overlap = self._random.randint(0, _MOST_OVERLAP)
        self._last = max(self.start, self._last - overlap)
        return self._last

    def _hear(self, change: dict[str, object]) -> None:
        now = time.perf_counter()
        heard = Heard.read(change, now)
        if heard.number != self._last + 1:
            self.contradictions.append(f"{heard.number} came after {self._last}")
        self._last = heard.number
        if self.heard.setdefault(heard.number, heard) != heard:
            self.contradictions.append(f"{heard.number} has changed its meaning")
        self.last_arrival = now
        if self._show is not None:
            self._show(change)
