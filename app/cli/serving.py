"""`koppelpunt serve` and `koppelpunt migrate`."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer
import uvicorn

from app.bootstrap import load_keys
from app.cli.database import open_database
from app.cli.running import fail, run
from app.settings import Settings, SettingsError, load_settings
from app.telemetry import configure_logging

if TYPE_CHECKING:
    from collections.abc import Mapping

_STOP_SECONDS = 15
_FRAME_BYTES = 65_536
# A worker that does not answer for so long is killed and replaced. It has to cover the start on a busy
# machine too: with uvicorn's 5 s, workers that took longer were killed one after the other, for ever.
_WORKER_SECONDS = 30


def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen; loopback unless told.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Where to listen.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    no_migrate: Annotated[bool, typer.Option("--no-migrate", help="Leave the database as it is.")] = False,
) -> None:
    """Migrate, then run the hub.

    Example: koppelpunt serve --port 8000 --workers 2
    """
    serve_with({"KOPPELPUNT_HOST": host, "KOPPELPUNT_PORT": port}, workers=workers, migrates=not no_migrate)


def serve_with(environment: Mapping[str, object], *, workers: int = 1, migrates: bool = True) -> None:
    """Run the hub under uvicorn with these variables on top of the environment, until it is told to stop."""
    os.environ.update({name: str(value) for name, value in environment.items() if value is not None})
    try:
        settings = load_settings()
        configure_logging(settings.log_level)
        run(_prepare(settings, migrates=migrates))
    except SettingsError as error:
        fail(str(error))
    # uvicorn ends in order and then raises the signal again; who asked for the end is told that all is well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "app.main:app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=workers,
        loop="uvloop",
        http="app.transport.http_protocol:HubHttpProtocol",
        ws="app.transport.websocket_protocol:HubProtocol",
        ws_max_size=_FRAME_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
        timeout_worker_healthcheck=_WORKER_SECONDS,
    )


async def _prepare(settings: Settings, *, migrates: bool) -> None:
    load_keys(settings)
    if settings.database_url is None:
        where = settings.data_dir.resolve()
        typer.echo(f"No KOPPELPUNT_DATABASE_URL: using the embedded PostgreSQL in {where}", err=True)
    if migrates:
        async with open_database():
            pass


def migrate() -> None:
    """Bring the database to the newest migration.

    Example: koppelpunt migrate
    """

    async def work() -> None:
        async with open_database():
            pass

    run(work())
