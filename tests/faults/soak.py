"""Break a hub again and again, for as many minutes as are given: `make soak MINUTES=60 SEED=1`."""

# ruff: noqa: T201 - a program that prints what it does
from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.faults.breaking import AT_POINTS, BELL, CLOCK, DATABASE, NETWORK, PROCESSES, fill_the_disk
from tests.faults.small_disk import may_mount, small_disk
from tests.faults.trial import Trial

_MEGABYTES_A_MINUTE = 100  # the hub writes half of that


async def soak(minutes: float, seed: int) -> int:
    """Break what chance picks until the time is up; return the number of broken promises."""
    ends_at = time.monotonic() + minutes * 60
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        faults = [*PROCESSES, *DATABASE, *NETWORK, *CLOCK, *AT_POINTS]
        if has_redis := sys.version_info < (3, 13):
            faults += BELL
        if may_mount():
            stack.enter_context(small_disk(folder, megabytes=400 + int(minutes * _MEGABYTES_A_MINUTE)))
            faults.append(fill_the_disk)
        async with Trial.running(
            folder, seed, workers=3, proxied=True, redis=has_redis, jumping=True, dying=True
        ) as trial:
            await trial.goes_on()
            while time.monotonic() < ends_at:
                # Two at once now and then: nothing waits for the other to be over.
                chosen = trial.hub.random.sample(faults, trial.hub.random.choice((1, 1, 1, 2)))
                print(" and ".join(fault.__name__ for fault in chosen), end=": ", flush=True)
                await asyncio.gather(*(fault(trial) for fault in chosen), return_exceptions=True)
                print(f"went on after {await trial.goes_on(120):.1f} s", flush=True)
                await asyncio.sleep(trial.hub.random.random() * 2)
            found = await trial.finish(120)
    for problem in found:
        print(problem)
    print(f"seed {seed}: {len(trial.sent)} messages, {len(found)} broken promises")
    return len(found)


def main() -> None:
    """Run for the minutes of the first argument, with the seed of the second or a new one."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbelow(10**6)
    sys.exit(bool(asyncio.run(soak(minutes, seed))))


if __name__ == "__main__":
    main()
