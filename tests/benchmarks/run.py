"""`make bench`: the hub, one process, side by side with other GraphQL servers on the same PostgreSQL.

The harness that measures them is copied to a scratch folder first, and never changed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from app.services.keys import load_pseudonym_keys, load_signing_keys
from tests.benchmarks import growth, loaded_hub, own
from tests.benchmarks.harness import Harness, HarnessMissingError
from tests.benchmarks.stage import UNLIMITED
from tests.benchmarks.table import findings, table
from tests.factories.live_hub import PROJECT, LiveHub

_DATABASE = "koppelpunt"
_RELABEL = "update registration set status_source = 'CAMBO' where application_id = any($1)"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--bench",
        type=Path,
        default=Path(os.environ.get("KOPPELPUNT_BENCH", PROJECT / ".." / "shared" / "bench")),
        help="the harness; $KOPPELPUNT_BENCH or ../shared/bench if left out",
    )
    parser.add_argument(
        "--scratch", type=Path, default=PROJECT / ".venv" / "bench", help="where it is copied to"
    )
    parser.add_argument("--peers", nargs="*", default=["mercurius", "yoga", "strawberry"])
    parser.add_argument(
        "--only", default="Q1,Q2,Q2E,M1,M2,S1", help="operations; empty: only our own measurements"
    )
    parser.add_argument("--registrations", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="measured, of each operation")
    parser.add_argument("--fanout", default="100x1,1000x1", help="subscribers x mutations at once")
    parser.add_argument(
        "--connections", type=int, default=1_000, help="of our own measurements; 0: leave these out"
    )
    parser.add_argument(
        "--growth",
        type=_sizes,
        default=(10_000, 1_000_000),
        help="numbers of registrations to measure growth at, as 10000,1000000; empty: leave it out",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave PostgreSQL and the hub's database as they are"
    )
    return parser.parse_args()


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(size) for size in text.split(",") if size))


def main() -> int:
    """Measure, print, clean up."""
    options = _options()
    if options.only:
        try:
            harness = Harness.copied(options.bench.resolve(), options.scratch, options.peers)
        except HarnessMissingError as error:
            print(error, "Only our own measurements are made.", file=sys.stderr)
        else:
            _compare(harness, options)
    if options.connections:
        for line in own.measured(_fresh(options.scratch / "own"), options.connections):
            print(line, flush=True)
    if options.growth:
        print(growth.table(_fresh(options.scratch / "growth"), options.growth))
    return 0


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _compare(harness: Harness, options: argparse.Namespace) -> None:
    """Measure the hub beside its peers; it has a new database on their server."""
    with ExitStack() as stack:
        if not options.keep:
            stack.callback(harness.stop)
        harness.start()
        url = asyncio.run(harness.fresh_database(_DATABASE))
        if not options.keep:
            stack.callback(lambda: asyncio.run(harness.drop_database(_DATABASE)))
        hub = _hub(_fresh(options.scratch / "hub"), url)
        migrated = hub.run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        senders = loaded_hub.furnish(hub, harness.model)
        stack.callback(hub.stop)
        hub.start()
        began = time.monotonic()
        relabelled = asyncio.run(loaded_hub.load(hub, senders, harness.model, options.registrations))
        print(
            f"loaded {options.registrations:,} registrations in {time.monotonic() - began:.0f} s", flush=True
        )
        asyncio.run(harness.execute(_DATABASE, _RELABEL, relabelled))
        asyncio.run(harness.settle(_DATABASE))
        hub.stop()
        hub.start()  # a process that has served nothing yet, as its peers
        measured = ["--only", options.only, "--fanout", options.fanout, "--no-limits"]
        for name in ("registrations", "rounds", "seconds"):
            measured += [f"--{name}", str(getattr(options, name))]
        lines = harness.measure(loaded_hub.descriptor(hub, senders, harness.postmaster), measured)
        print(table(lines))
        for finding in findings(lines):
            print(f"not in order: {finding}")


def _hub(folder: Path, database_url: str) -> LiveHub:
    load_pseudonym_keys(folder / "pseudonym.json", create=True)
    load_signing_keys(folder / "signing.json", create=True)
    environment = {
        **UNLIMITED,
        "KOPPELPUNT_DATA_DIR": str(folder / "data"),
        "KOPPELPUNT_DATABASE_URL": database_url,
        "KOPPELPUNT_PSEUDONYM_KEY_FILE": str(folder / "pseudonym.json"),
        "KOPPELPUNT_SIGNING_KEYS_FILE": str(folder / "signing.json"),
    }
    return LiveHub(folder, environment)


if __name__ == "__main__":
    sys.exit(main())
