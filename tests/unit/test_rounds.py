"""One look after all connections: what is asked once for many, and what ends whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from app.domain.access import Scope
from app.domain.errors import UnavailableError
from app.transport.graphql_endpoint.rounds import Rounds
from tests.scratch_graphql import a_principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.domain.access import Principal

_SECONDS = 0.05


class _Connection:
    """A connection, and its line."""

    late = False
    full_since: float | None = None

    def __init__(self, rounds: Rounds | None = None) -> None:
        self.rounds = rounds
        self.looks: list[tuple[bool, bool]] = []
        self.frames: list[bytes] = []
        self.looked = asyncio.Event()

    def look(self, *, is_stalled: bool, is_valid: bool) -> None:
        self.looks.append((is_stalled, is_valid))
        self.looked.set()
        if self.rounds is not None:
            self.rounds.remove(self)

    def write(self, frame: bytes) -> bool:
        self.frames.append(frame)
        return True

    def keep_little(self) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


class _Hub:
    """Who is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_valid = True
        self.unavailable = False
        self.broken: set[str] = set()

    async def still_valid(self, principal: Principal) -> bool:
        self.asked.append(f"valid {principal.client_id}")
        if self.unavailable:
            raise UnavailableError
        if principal.client_id in self.broken:
            raise RuntimeError
        return self.is_valid

    async def greeting(self, principal: Principal) -> Mapping[str, object] | None:
        self.asked.append(f"greeting {principal.organisation_id}")
        if self.unavailable:
            raise UnavailableError
        return {"last": 7} if Scope.FEED_READ in principal.scopes else None

    def rounds(self) -> Rounds:
        return Rounds(
            self.still_valid, self.greeting, lambda said: b"%r" % said, seconds=_SECONDS, stall_seconds=1
        )


def _reading() -> Principal:
    return replace(a_principal(), scopes=frozenset({Scope.FEED_READ}))


async def _looked_at(*connections: _Connection) -> None:
    async with asyncio.timeout(10):
        for connection in connections:
            await connection.looked.wait()


class TestRounds:
    async def test_ask_once_for_all_of_a_client(self) -> None:
        hub = _Hub()
        rounds, principal = hub.rounds(), _reading()
        connections = [_Connection(rounds) for _ in range(200)]
        for connection in connections:
            rounds.add(connection, principal, connection)
        await _looked_at(*connections)
        assert sorted(hub.asked) == ["greeting 1", "valid client"]
        assert [one.looks for one in connections] == [[(False, True)]] * 200
        assert [one.frames for one in connections] == [[b"{'last': 7}"]] * 200

    async def test_tell_each_what_its_own_token_may_know(self) -> None:
        rounds = _Hub().rounds()
        without = a_principal("without")
        reading = replace(_reading(), client_id="reading")
        for first, second in ((reading, without), (without, reading)):
            connections = {one.client_id: _Connection(rounds) for one in (first, second)}
            for one in (first, second):
                rounds.add(connections[one.client_id], one, connections[one.client_id])
            await _looked_at(*connections.values())
            frames = {client_id: one.frames for client_id, one in connections.items()}
            assert frames == {"reading": [b"{'last': 7}"], "without": [b"None"]}

    async def test_cut_nobody_off_about_whom_they_cannot_ask(self) -> None:
        hub = _Hub()
        hub.unavailable = True
        rounds, connection = hub.rounds(), _Connection()
        rounds.add(connection, a_principal(), connection)
        await _looked_at(connection)
        rounds.remove(connection)
        assert connection.looks[0] == (False, True)
        assert connection.frames[0] == b"None"

    async def test_look_at_everybody_though_what_is_asked_about_one_fails(self) -> None:
        hub = _Hub()
        hub.broken.add("odd")
        rounds, odd, other = hub.rounds(), _Connection(), _Connection()
        odd.full_since = asyncio.get_running_loop().time() - 2
        rounds.add(odd, a_principal("odd"), odd)
        rounds.add(other, _reading(), other)
        await _looked_at(odd, other)
        for connection in (odd, other):
            rounds.remove(connection)
        assert (odd.looks[0], other.looks[0]) == ((True, True), (False, True))
        assert other.frames[0] == b"{'last': 7}"

    async def test_tell_who_has_lost_its_rights_and_who_reads_nothing(self) -> None:
        hub = _Hub()
        hub.is_valid = False
        rounds, stalled, full = hub.rounds(), _Connection(), _Connection()
        now = asyncio.get_running_loop().time()
        stalled.full_since, full.full_since = now - 2, now
        for connection in (stalled, full):
            rounds.add(connection, a_principal(), connection)
        await _looked_at(stalled, full)
        for connection in (stalled, full):
            rounds.remove(connection)
        assert (stalled.looks[0], full.looks[0]) == ((True, False), (False, False))

    async def test_go_on_with_who_comes_after_everybody_has_left(self) -> None:
        hub = _Hub()
        rounds = hub.rounds()
        for _ in range(2):
            connection = _Connection(rounds)
            rounds.add(connection, a_principal(), connection)
            await _looked_at(connection)
            async with asyncio.timeout(10):
                while rounds._task is not None:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
        left = _Connection()
        rounds.add(left, a_principal(), left)
        rounds.remove(left)
        assert left.looks == []
