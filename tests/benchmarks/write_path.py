"""What a batch of 500 messages costs the hub in each of its stages, and numbering beside a long history.

CPU time of this process, the least of many rounds; of numbering the elapsed time, which is PostgreSQL's.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from app.domain import codes
from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.personal_number import KeyChain
from app.domain.registration import Registration, Sender, judge
from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer
from app.persistence.migrations import migrate
from app.persistence.numbering import NumberingConnection
from app.services.candidates import examine
from graphql_schema.execution.inputs import compile_input
from graphql_schema.schema import schema
from tests.factories.live_hub import a_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.domain.status_message import StatusMessage

_MESSAGES = 500
_ROUNDS = 100
_HISTORIES = (10_000, 200_000)
_KEYS = KeyChain((b"p" * 32,), b"d" * 32, b"s" * 32, b"i" * 32)
_EVENTS = """
insert into status_event (registration_id, student_id, organisation_id, kind, status, learning_path, source,
                          occurred_at, recorded_at)
select n, n, 1, 'STATUS', 'RECEIVED', 'BOL', 'SIS', now(), now() from generate_series(1, $1::bigint) n
"""
_PENDING = """
insert into pending_event (event_id, student_id, vavo)
select id, student_id, false from status_event order by id desc limit $1
"""


def main() -> None:
    """Measure and print."""
    for line in (*_stages(), *asyncio.run(_numbering())):
        print(line)


def _stages() -> Iterator[str]:
    raw = [a_message() for _ in range(_MESSAGES)]
    input_type: Any = schema._schema.type_map["ReportStatusesInput"]
    coerce = compile_input(input_type)
    coerced: Any = coerce({"messages": raw})
    messages: list[StatusMessage] = coerced.to_domain()
    now = datetime.now(UTC)
    before = now - timedelta(days=1)
    known = [
        Registration(
            number,
            uuid4(),
            message.application_id,
            number,
            message.brin,
            message.programme_code,
            LearningPath.BOL,
            message.school_year,
            message.programme_year,
            Status.OFFERED,
            before,
            StatusSource.SIS,
            before,
            before,
            None,
            (1,),
        )
        for number, message in enumerate(messages)
    ]
    sender = Sender(1, StatusSource.SIS, now)
    yield f"{_MESSAGES} messages coerced: {_least(lambda: coerce({'messages': raw})):.2f} ms"
    examined = _least(lambda: examine(messages, _KEYS, now, organisation_id=1, source=StatusSource.SIS))
    yield f"{_MESSAGES} messages examined, with pseudonym and digest: {examined:.2f} ms"
    judged = _least(
        lambda: [judge(one, message, one.id, sender) for one, message in zip(known, messages, strict=True)]
    )
    yield f"{_MESSAGES} messages judged: {judged:.2f} ms"


def _least(work: Callable[[], object]) -> float:
    least = float("inf")
    for _ in range(_ROUNDS):
        began = time.process_time()
        work()
        least = min(least, time.process_time() - began)
    return least * 1e3


async def _numbering() -> list[str]:
    lines = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(EmbeddedServer(folder, durable=False))
        await asyncio.to_thread(migrate, server.url)
        database = Database(server.url, pool_size=1)
        await database.open()
        stack.push_async_callback(database.close)
        async with database.connection() as connection:
            recorded = 0
            for history in _HISTORIES:
                await connection.execute(_EVENTS, history - recorded)
                recorded = history
                least = float("inf")
                async with NumberingConnection.open(database) as numbering:
                    for _ in range(20):
                        await connection.execute(_PENDING, _MESSAGES)
                        now = datetime.now(UTC)
                        began = time.perf_counter()
                        async with numbering.transaction() as pending:
                            done = await pending.number(0, 1_000, codes.today(now), now, vavo=False)
                        least = min(least, time.perf_counter() - began)
                        assert done.events == _MESSAGES
                lines.append(f"{_MESSAGES} events numbered beside {history:,}: {least * 1e3:.1f} ms elapsed")
    return lines


if __name__ == "__main__":
    main()
