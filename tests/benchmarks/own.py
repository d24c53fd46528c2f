"""What peers lack: fan-out by receiver, routing to a few of many, resuming, memory, latency."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from datetime import datetime
from typing import TYPE_CHECKING

from tests.benchmarks.stage import Stage
from tests.benchmarks.subscribers import Subscriber, subscribers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

_EVENTS = 50
_OLD = 10_000  # numbers back
_IDLE_SECONDS = 30
_AT_ONCE = 1_000


def measured(folder: Path, connections: int) -> Iterator[str]:
    """Yield a line for each measurement, on a hub of its own."""
    stage = Stage.set_up(folder)
    try:
        with asyncio.Runner() as runner:
            lines = _lines(stage, connections)
            while (line := runner.run(_next(lines))) is not None:
                yield line
    finally:
        stage.close()


async def _next(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)


async def _lines(stage: Stage, connections: int) -> AsyncIterator[str]:
    async with subscribers(stage.hub, stage.concerned, 2) as pair:
        await _events(stage, pair)  # the first ones pay for what is loaded on use
        alone = await _events(stage, pair)
        yield f"from the hub's clock to arrival: {_distribution(await _ways(stage, pair[0]))}"
        for count in (100, min(1_000, connections)):
            async with subscribers(stage.hub, stage.concerned, count) as crowd:
                each = await _events(stage, crowd)
                yield f"a delivery to {count:,} connections of one receiver: {each / count:.4f} ms CPU"
        before, meter = stage.memory, stage.meter()
        async with subscribers(stage.hub, stage.unconcerned, connections):
            yield f"to connect and subscribe: {meter.per(connections)}"
            kilobytes = (stage.memory - before) / 1024 / connections
            yield f"memory of a silent subscription: {kilobytes:.0f} KiB ({connections:,} of them)"
            meter = stage.meter()
            await asyncio.sleep(_IDLE_SECONDS)
            yield f"a second of all of these, with their pings: {meter.per(_IDLE_SECONDS)}"
            among = await _events(stage, pair)
            yield (
                f"an event that concerns 2 connections: {alone:.2f} ms CPU alone, {among:.2f} ms among "
                f"{connections + 2:,}"
            )
        for _ in range(_OLD // _AT_ONCE):
            await asyncio.to_thread(stage.report, _AT_ONCE)
        await pair[0].until(stage.sent)  # all have their numbers
    for back in (1, 100, _OLD):
        yield f"to resume {back:,} numbers back: {await _resume(stage, back)}"


async def _events(stage: Stage, listening: Sequence[Subscriber]) -> float:
    """Return the hub's milliseconds for an event: reported, numbered, delivered to those that listen."""
    meter = stage.meter()
    for _ in range(_EVENTS):
        wanted = listening[0].count + 1
        await asyncio.to_thread(stage.report)
        for subscriber in listening:
            await subscriber.until(wanted)
    return meter.per(_EVENTS).hub


async def _ways(stage: Stage, subscriber: Subscriber) -> list[float]:
    """Return the seconds from when the hub took each of some events in hand until it arrived."""
    found = []
    for _ in range(_EVENTS):
        wanted = subscriber.count + 1
        await asyncio.to_thread(stage.report)
        await subscriber.until(wanted)
        change = json.loads(subscriber.last)["payload"]["data"]["statusChanged"]
        found.append(subscriber.heard_at - datetime.fromisoformat(change["recordedAt"]).timestamp())
    return found


def _distribution(seconds: Sequence[float]) -> str:
    shares = statistics.quantiles(seconds, n=100)
    return f"p50 {shares[49] * 1000:.1f} ms, p99 {shares[98] * 1000:.1f} ms"


async def _resume(stage: Stage, back: int) -> str:
    began, meter = time.perf_counter(), stage.meter()
    async with subscribers(stage.hub, stage.concerned, 1, after=stage.sent - back) as (subscriber,):
        await subscriber.until(back, seconds=120)
    seconds = time.perf_counter() - began
    return f"{seconds * 1000:.0f} ms, {meter.per(1)}"
