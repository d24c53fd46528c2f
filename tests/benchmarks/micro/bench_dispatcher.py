"""What it costs to number events and to hand out a change.

Numbering is PostgreSQL's work, so its time is what passes; handing out is the hub's, in processor time, up to
the system call that writes to a socket.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from app.domain import codes
from app.domain.feed import StatusChange
from app.domain.registration import ChangeKind
from app.feed.audience import Audience, Listener
from app.feed.handing_out import HandingOut
from app.feed.outlet import Outlet
from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer
from app.persistence.migrations import migrate
from app.persistence.numbering import NumberingConnection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_EVENTS = 500
# So many students, each with one event and followed by one receiver.
_HISTORY = (
    """insert into organisation (id, oin, role, name) overriding system value
    select 1, '00000000000000000001', 'OS', 'a receiver' where $1::bigint > 0""",
    """insert into feed (organisation_id, complete, last_number, expired_number, acknowledged_number)
    select 1, false, 0, 0, 0 where $1::bigint > 0""",
    """insert into student (id, pseudonym, key_version) overriding system value
    select n, sha256(n::text::bytea), 1 from generate_series(1, $1::bigint) n""",
    """insert into follow (organisation_id, student_id, reference, since, until)
    select 1, n, 'S-' || n, now(), current_date + 365 from generate_series(1, $1::bigint) n""",
    """insert into status_event (registration_id, student_id, organisation_id, kind, status, learning_path,
                                 source, occurred_at, recorded_at)
    select n, n, 1, 'STATUS', 'RECEIVED', 'BOL', 'SIS', now(), now() from generate_series(1, $1::bigint) n""",
)
_PENDING = """
insert into pending_event (event_id, student_id, vavo)
select id, student_id, false from status_event order by id desc limit $1
"""


class _Queue:
    """A database with events, and the connection of a dispatcher."""

    def __init__(self, runner: asyncio.Runner, database: Database, numbering: NumberingConnection) -> None:
        self._runner, self._database, self._numbering = runner, database, numbering

    def fill(self) -> None:
        """Let the latest events wait for their numbers."""

        async def fill() -> None:
            async with self._database.connection() as connection:
                await connection.execute(_PENDING, _EVENTS)

        self._runner.run(fill())

    def number(self) -> int:
        """Number what waits; return the number of entries."""

        async def number() -> int:
            now = datetime.now(UTC)
            async with self._numbering.transaction() as pending:
                numbered = await pending.number(0, 1_000, codes.today(now), now, vavo=False)
            assert numbered.events == numbered.entries
            return numbered.entries

        return self._runner.run(number())


@pytest.fixture(params=[10_000, 200_000])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_Queue]:
    """A queue beside a history of so many events."""
    with EmbeddedServer(tmp_path, durable=False) as server, asyncio.Runner() as runner:
        migrate(server.url)
        stack = AsyncExitStack()

        async def opened() -> _Queue:
            database = Database(server.url, pool_size=1)
            await database.open()
            stack.push_async_callback(database.close)
            async with database.connection() as connection:
                for statement in _HISTORY:
                    await connection.execute(statement, request.param, timeout=60)
                await connection.execute("vacuum (analyze)", timeout=60)
            numbering = await stack.enter_async_context(NumberingConnection.open(database))
            return _Queue(runner, database, numbering)

        yield runner.run(opened())
        runner.run(stack.aclose())


@pytest.mark.benchmark(group=f"{_EVENTS} events numbered for a receiver, elapsed", timer=time.perf_counter)
class TestNumbering:
    def test_beside_a_history(self, benchmark, queue):
        numbered = benchmark.pedantic(queue.number, setup=queue.fill, rounds=40, warmup_rounds=5)
        assert numbered == _EVENTS


class _Line:
    """A connection that takes everything and sends nothing."""

    late = False

    def write(self, frame: bytes) -> bool:
        return True


class _Crowd:
    """Connections of one receiver that keep up."""

    def __init__(self, runner: asyncio.Runner, count: int) -> None:
        self._runner, self._audience, self._handing_out = runner, Audience(), HandingOut()
        outlets: list[Outlet[StatusChange]] = [
            Outlet(_Line(), number, lambda change: b"a frame") for number in range(count)
        ]
        self._listeners = [Listener(self._audience, outlet) for outlet in outlets]
        self._audience.listeners.update(dict.fromkeys(self._listeners))
        runner.run(self._begin())

    async def _begin(self) -> None:
        self._serving = asyncio.create_task(self._handing_out.run())
        self._waiting = [asyncio.create_task(one.next()) for one in self._listeners]
        await asyncio.sleep(0)

    def hear(self) -> int:
        """Let all of them have one change; return the number that the last one is at."""

        async def hear() -> int:
            number = self._audience.last + 1
            self._audience.add(StatusChange(number, ChangeKind.HIDDEN, datetime.now(UTC)))
            self._handing_out.add(self._audience)
            while self._listeners[-1].wanted == number:  # noqa: ASYNC110 - who is served tells nobody
                await asyncio.sleep(0)
            return number

        return self._runner.run(hear())


@pytest.mark.benchmark(group="a change handed out", timer=time.process_time)
class TestHandingOut:
    @pytest.mark.parametrize("connections", [1, 100, 1_000])
    def test_to_connections(self, benchmark, connections):
        with asyncio.Runner() as runner:
            crowd = _Crowd(runner, connections)
            numbers = [benchmark(crowd.hear), crowd.hear()]
            assert numbers[1] == numbers[0] + 1
