"""`koppelpunt keys`: new keys without a restart."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.bootstrap import pseudonym_key_file, signing_keys_file
from app.cli.database import open_database
from app.cli.running import run
from app.domain.record import SecurityEvent
from app.services.key_files import LOOK_SECONDS
from app.services.keys import rotate_signing_keys
from app.services.pseudonym_rotation import GRACE_SECONDS, PseudonymRotation
from app.services.security_log import record_once
from app.settings import load_settings

keys = typer.Typer(no_args_is_help=True, help="New keys, while the hub runs.")

_PUBLISHED_SECONDS = 300.0  # as long as readers of /oauth/jwks may keep it


@keys.callback()
def _keys() -> None:
    """New keys, while the hub runs."""


@keys.command("rotate")
def rotate(
    *,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Sign with it in seconds, not after five minutes.")
    ] = False,
) -> None:
    """Add a key for access tokens; it is published now and signs after five minutes.

    Older keys are taken for as long as a token of theirs can live, and leave the file at a later rotation.

    Example: koppelpunt keys rotate
    """
    settings = load_settings()

    async def work() -> tuple[str, float, list[str]]:
        async with open_database() as database:
            # Even at once, every hub has to know it before the first token comes.
            after = 2 * LOOK_SECONDS if at_once else _PUBLISHED_SECONDS
            now = time.time()
            _, added, removed = rotate_signing_keys(signing_keys_file(settings), now, after)
            await record_once(database, SecurityEvent.SIGNING_KEY_ADDED, subject=added)
            return added, now + after, removed

    added, starts, removed = run(work())
    typer.echo(f"{added} signs from {datetime.fromtimestamp(starts, UTC).isoformat(timespec='seconds')}")
    for gone in removed:
        typer.echo(f"{gone} has been removed: no token of it lives any more")


@keys.command("rotate-pseudonyms")
def rotate_pseudonyms(
    *,
    grace: Annotated[
        float,
        typer.Option(min=0, help="Seconds that hubs get to read the new key. More where files are copied."),
    ] = GRACE_SECONDS,
) -> None:
    """Give every student a new pseudonym. Broken off, the same command goes on where it stopped.

    Hubs on other machines need the changed key file within the grace: until then they make no new students.

    Example: koppelpunt keys rotate-pseudonyms
    """
    settings = load_settings()

    async def work() -> None:
        async with open_database() as database:
            rotation = PseudonymRotation(database, pseudonym_key_file(settings), grace_seconds=grace)
            chain, added = await rotation.prepare()
            if added:
                await record_once(
                    database, SecurityEvent.PSEUDONYM_KEY_ADDED, subject=f"version {chain.version}"
                )
            verb = "key added" if added else "rotation resumed"
            typer.echo(f"version {chain.version}: {verb}", err=True)
            done = 0
            async for progress in rotation.run(chain):
                done = progress.done
                if sys.stderr.isatty():
                    total = progress.done + progress.left
                    typer.echo(f"\r{progress.done:,} of {total:,} students", nl=False, err=True)
            if sys.stderr.isatty():
                typer.echo("", err=True)
            await record_once(database, SecurityEvent.PSEUDONYMS_ROTATED, subject=f"version {chain.version}")
            typer.echo(f"{done} students brought to version {chain.version}")

    run(work())
