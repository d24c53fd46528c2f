"""A look after every open connection, every so many seconds, by one task.

At 10,000 connections a task for each would cost more than what they hear. What is asked for an organisation,
or for a client, is asked once for all of theirs that are due.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextvars import Context
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol, TypeVar

from app.domain.errors import HubError
from graphql_schema.errors import format_exception

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

    from app.domain.access import Principal, Scope
    from app.transport.graphql_endpoint.line import SocketLine

    _Audience = tuple[int, frozenset[Scope]]

_Answer = TypeVar("_Answer")

_STEPS = 15  # a round is walked in so many
_AT_ONCE = 64


class Visited(Protocol):
    """A websocket or a stream of events."""

    def look(self, *, is_stalled: bool, is_valid: bool) -> None:
        """End it if it is over: its client has read nothing for too long, or may no longer listen."""
        ...


@dataclass(slots=True)
class _Visit:
    principal: Principal
    line: SocketLine
    due: float


class Rounds:
    """Visits each connection every `seconds`; `sign` makes what is sent of its caller's greeting."""

    def __init__(
        self,
        still_valid: Callable[[Principal], Awaitable[bool]],
        greeting: Callable[[Principal], Awaitable[Mapping[str, object] | None]] | None,
        sign: Callable[[Mapping[str, object] | None], bytes],
        *,
        seconds: float,
        stall_seconds: float,
    ) -> None:
        self._still_valid = still_valid
        self._greeting = greeting
        self._sign = sign
        self._seconds = seconds
        self._stall_seconds = stall_seconds
        self._visits: OrderedDict[Visited, _Visit] = OrderedDict()  # the next one first
        self._task: asyncio.Task[None] | None = None

    def add(self, connection: Visited, principal: Principal, line: SocketLine) -> None:
        """Look after a connection from now on."""
        self._visits[connection] = _Visit(principal, line, _now() + self._seconds)
        if self._task is None:
            # Not in the context of this connection, whose names would stand in all log lines.
            self._task = asyncio.create_task(self._run(), name="rounds", context=Context())

    def remove(self, connection: Visited) -> None:
        """Look after it no more."""
        self._visits.pop(connection, None)

    async def _run(self) -> None:
        while self._visits:
            first = next(iter(self._visits.values()))
            await asyncio.sleep(max(self._seconds / _STEPS, first.due - _now()))
            due = self._take_due()
            try:
                await self._look_at(due)
            except Exception as error:  # noqa: BLE001 - logged; the next round comes
                format_exception(error)
        self._task = None

    def _take_due(self) -> dict[Visited, _Visit]:
        now = _now()
        due = dict(takewhile(lambda item: item[1].due <= now, self._visits.items()))
        for connection, visit in due.items():
            visit.due = now + self._seconds
            self._visits.move_to_end(connection)
        return due

    async def _look_at(self, due: Mapping[Visited, _Visit]) -> None:
        signs = await self._signs(due.values())
        valid = await self._valid(due.values())
        for count, (connection, visit) in enumerate(due.items()):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if connection not in self._visits:
                continue  # it has ended meanwhile
            full_since = visit.line.full_since
            connection.look(
                is_stalled=full_since is not None and _now() - full_since > self._stall_seconds,
                is_valid=valid[id(visit.principal)],
            )
            visit.line.write(signs.get(_audience(visit)) or self._sign(None))

    async def _signs(self, due: Collection[_Visit]) -> dict[_Audience, bytes]:
        """Return what to send to each organisation, by what a token may know, as far as it can be had."""
        if self._greeting is None:
            return {}
        callers = {_audience(one): one.principal for one in due}
        greetings = await self._all(map(self._greeting, callers.values()))
        return {
            audience: self._sign(greeting)
            for audience, greeting in zip(callers, greetings, strict=True)
            if greeting is not None
        }

    async def _valid(self, due: Collection[_Visit]) -> dict[int, bool]:
        """Return who has still its rights; who cannot be asked about is not cut off."""
        callers = {id(one.principal): one.principal for one in due}
        answers = await self._all(map(self._still_valid, callers.values()))
        return {caller: answer is not False for caller, answer in zip(callers, answers, strict=True)}

    async def _all(self, asked: Iterable[Awaitable[_Answer]]) -> list[_Answer | None]:
        async def one(asking: Awaitable[_Answer]) -> _Answer | None:
            try:
                async with asyncio.timeout(self._seconds / 3):
                    return await asking
            except (HubError, TimeoutError):
                return None
            except Exception as error:  # noqa: BLE001 - logged; the others are not to suffer from it
                format_exception(error)
                return None

        return await asyncio.gather(*map(one, asked))


def _audience(visit: _Visit) -> _Audience:
    return visit.principal.organisation_id, visit.principal.scopes


def _now() -> float:
    return asyncio.get_running_loop().time()
