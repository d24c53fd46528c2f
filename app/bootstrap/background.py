"""What runs beside a hub for as long as it lives."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.telemetry import BACKGROUND_FAILURES, log

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_PAUSE_SECONDS = 1.0
_FINISH_SECONDS = 2.0


@contextmanager
def running(work: Callable[[], Coroutine[object, object, None]], name: str) -> Iterator[None]:
    """Let something run beside the block, and end it with the block.

    Each kind of work handles the failures that it knows. One that ends all the same begins anew a second
    later: a hub that goes on without its dispatcher, say, accepts messages of which nobody hears.
    """
    task = asyncio.create_task(_keep_running(work, name), name=name)
    try:
        yield
    finally:
        task.cancel()


async def finished(work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Let something be finished at the end of a hub, and go on without it where that takes too long.

    Not by a time limit, which would wait in its turn for what was cut short: with a database that hangs,
    for many seconds.
    """
    task = asyncio.create_task(work())
    await asyncio.wait([task], timeout=_FINISH_SECONDS)
    task.cancel()


async def _keep_running(work: Callable[[], Coroutine[object, object, None]], name: str) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("background_failed", task=name)
        else:
            log.error("background_ended", task=name)
        BACKGROUND_FAILURES.labels(name).inc()
        await asyncio.sleep(_PAUSE_SECONDS)
