"""`koppelpunt retention sweep` and `koppelpunt restore-check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.bootstrap import clock, load_keys, removal_ledger, retention_rule
from app.cli.database import open_database
from app.cli.running import fail, run
from app.services.restoring import RestoreCheck, Restored
from app.services.retention import RetentionService, Swept
from app.settings import load_settings

retention = typer.Typer(no_args_is_help=True, help="How long students are kept.")


@retention.callback()
def _retention() -> None:
    """How long students are kept."""


@retention.command("sweep")
def sweep() -> None:
    """Tell CAMBO of students whose time is nearly over, and remove those whose time is over.

    A running hub does the same by itself, four times a day.

    Example: koppelpunt retention sweep
    """
    settings = load_settings()
    keys, _ = load_keys(settings)

    async def work() -> Swept:
        swept = Swept()
        async with open_database() as database:
            service = RetentionService(
                database,
                keys,
                clock,
                lambda: None,
                rule=retention_rule(settings),
                ledger=removal_ledger(settings),
            )
            async for swept in service.sweeping():
                if sys.stderr.isatty():
                    typer.echo(f"\r{swept.looked_at:,} students looked at", nl=False, err=True)
        return swept

    swept = run(work())
    if sys.stderr.isatty():
        typer.echo("", err=True)
    typer.echo(f"{swept.announced} announced, {swept.removed} removed")


def restore_check(
    *,
    ledger: Annotated[
        list[Path] | None,
        typer.Option(help="A ledger of removals; once for each machine that had one. That of the settings."),
    ] = None,
) -> None:
    """Make a database fit for use after the restore of a backup: run it once, before hubs start.

    Every feed moves on by 10,000,000 numbers and receivers take a new snapshot; students who were removed
    since the backup are removed again.

    Example: koppelpunt restore-check
    """
    settings = load_settings()
    keys, _ = load_keys(settings)
    own = removal_ledger(settings)
    ledgers = ledger or ([own] if own.exists() else [])

    async def work() -> Restored:
        async with open_database() as database:
            return await RestoreCheck(database, keys.latest(), clock).run(ledgers)

    try:
        restored = run(work())
    except OSError as error:
        fail(f"the ledger of removals cannot be read: {error}")
    if not ledgers:
        typer.echo(f"no ledger of removals at {own}: nobody was removed again", err=True)
    typer.echo(f"{restored.feeds} feeds moved on, {restored.students} students removed again")
