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
from tests.benchmarks import loaded_hub, own
from tests.benchmarks.harness import Harness, HarnessMissingError
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
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--fanout", default="100x1,1000x1", help="subscribers x mutations at once")
    parser.add_argument(
        "--connections", type=int, default=1_000, help="of our own measurements; 0: leave these out"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave PostgreSQL and the hub's database as they are"
    )
    return parser.parse_args()


def main() -> int:
    """Measure, print, clean up."""
    options = _options()
    with ExitStack() as stack:
        try:
            harness = Harness.copied(options.bench.resolve(), options.scratch, options.peers)
        except HarnessMissingError as error:
            print(error, "Only our own measurements are made.", file=sys.stderr)
            harness = None
        if harness is None:
            hub = _hub(options.scratch / "hub", None)
        else:
            if not options.keep:
                stack.callback(harness.stop)
            harness.start()
            url = asyncio.run(harness.fresh_database(_DATABASE))
            if not options.keep:
                stack.callback(lambda: asyncio.run(harness.drop_database(_DATABASE)))
            hub = _hub(options.scratch / "hub", url)
        migrated = hub.run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        own.furnish(hub)
        senders = None if harness is None else loaded_hub.furnish(hub, harness.model)
        stack.callback(hub.stop)
        hub.start()
        if harness is not None and senders is not None:
            _compare(harness, hub, senders, options)
        if options.connections:
            for line in own.measured(hub, options.connections):
                print(line)
    return 0


def _hub(folder: Path, database_url: str | None) -> LiveHub:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = {
        "KOPPELPUNT_DATA_DIR": str(folder / "data"),
        "KOPPELPUNT_ACCESS_TOKEN_SECONDS": "3600",  # the harness asks for no new ones
        "KOPPELPUNT_MAX_CONNECTIONS_PER_CLIENT": "20000",
        "KOPPELPUNT_RATE_REQUESTS": "1000000",  # one client sends what a whole country does
        "KOPPELPUNT_RATE_COST": "1000000000",
        "KOPPELPUNT_LOG_LEVEL": "WARNING",  # as its peers
    }
    if database_url is not None:
        environment["KOPPELPUNT_DATABASE_URL"] = database_url
        load_pseudonym_keys(folder / "pseudonym.json", create=True)
        load_signing_keys(folder / "signing.json", create=True)
        environment["KOPPELPUNT_PSEUDONYM_KEY_FILE"] = str(folder / "pseudonym.json")
        environment["KOPPELPUNT_SIGNING_KEYS_FILE"] = str(folder / "signing.json")
    return LiveHub(folder, environment)


def _compare(
    harness: Harness, hub: LiveHub, senders: loaded_hub.Senders, options: argparse.Namespace
) -> None:
    began = time.monotonic()
    relabelled = asyncio.run(loaded_hub.load(hub, senders, harness.model, options.registrations))
    print(f"loaded {options.registrations:,} registrations in {time.monotonic() - began:.0f} s", flush=True)
    asyncio.run(harness.execute(_DATABASE, _RELABEL, relabelled))
    asyncio.run(harness.settle(_DATABASE))
    hub.stop()
    hub.start()  # a process that has served nothing yet, as its peers
    if not options.only:
        return
    measured = ["--only", options.only, "--fanout", options.fanout, "--no-limits"]
    for name in ("registrations", "rounds", "seconds"):
        measured += [f"--{name}", str(getattr(options, name))]
    lines = harness.measure(loaded_hub.descriptor(hub, senders, harness.postmaster), measured)
    print(table(lines))
    for finding in findings(lines):
        print(f"not in order: {finding}")


if __name__ == "__main__":
    sys.exit(main())
