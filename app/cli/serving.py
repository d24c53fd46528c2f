"""`koppelpunt serve` and `koppelpunt migrate`."""

from __future__ import annotations

import os
import signal
import ssl
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app.bootstrap import load_keys
from app.cli.database import open_database
from app.cli.running import fail, run
from app.cli.supervisor import Supervisor, WorkerConfig, end_with_input
from app.settings import Settings, SettingsError, load_settings
from app.telemetry import configure_logging

if TYPE_CHECKING:
    from collections.abc import Mapping

_STOP_SECONDS = 12  # for answers; what a hub still has to finish, and its supervisor, have eight more
_FRAME_BYTES = 65_536
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of TLS 1.3 are all good


def serve(  # noqa: PLR0917 - Typer passes them by name
    host: Annotated[str | None, typer.Option(help="Where to listen; loopback unless told.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Where to listen.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    ssl_certfile: Annotated[
        str | None, typer.Option(help="The hub's certificate (PEM), to speak TLS itself.")
    ] = None,
    ssl_keyfile: Annotated[str | None, typer.Option(help="The key of that certificate.")] = None,
    ssl_ca_certs: Annotated[
        str | None, typer.Option(help="Authorities (PEM) of the certificates that clients may show.")
    ] = None,
    no_migrate: Annotated[bool, typer.Option("--no-migrate", help="Leave the database as it is.")] = False,
    until_input_ends: Annotated[bool, typer.Option("--until-input-ends", hidden=True)] = False,
) -> None:
    """Migrate, then run the hub.

    Example: koppelpunt serve --port 8000 --workers 2
    """
    told = {
        "KOPPELPUNT_HOST": host,
        "KOPPELPUNT_PORT": port,
        "KOPPELPUNT_SSL_CERTFILE": ssl_certfile,
        "KOPPELPUNT_SSL_KEYFILE": ssl_keyfile,
        "KOPPELPUNT_SSL_CA_CERTS": ssl_ca_certs,
    }
    if until_input_ends:
        end_with_input()
    serve_with(told, workers=workers, migrates=not no_migrate)


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
    config = WorkerConfig("app.main:app", factory=True, workers=workers, **server_options(settings))
    if workers > 1:
        supervisor = Supervisor(config, [config.bind_socket()])
        supervisor.run()
        if supervisor.gave_up:
            sys.exit(STARTUP_FAILURE)
        return
    config.load_app()
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # which uvicorn raises again once it has ended in order
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def server_options(settings: Settings) -> dict[str, Any]:
    """Return how uvicorn is to run the hub, one process or several."""
    return {
        "host": settings.host,
        "port": settings.port,
        "loop": "uvloop",
        "http": "app.transport.http_protocol:HubHttpProtocol",
        "ws": "app.transport.websocket_protocol:HubProtocol",
        "ws_max_size": _FRAME_BYTES,
        "ws_per_message_deflate": False,
        "ws_ping_interval": None,
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": False,
        "ssl_certfile": settings.ssl_certfile,
        "ssl_keyfile": settings.ssl_keyfile,
        "ssl_ca_certs": None if settings.ssl_ca_certs is None else str(settings.ssl_ca_certs),
        # uvicorn's own choice lets TLS 1.2 through with the ciphers of TLS 1.0 alone.
        "ssl_ciphers": _CIPHERS,
        # Who shows no certificate may still look at keys and health; bound tokens see to the rest.
        "ssl_cert_reqs": ssl.CERT_NONE if settings.ssl_ca_certs is None else ssl.CERT_OPTIONAL,
        "timeout_graceful_shutdown": _STOP_SECONDS,
    }


async def _prepare(settings: Settings, *, migrates: bool) -> None:
    load_keys(settings)
    if settings.database_url is None:
        where = settings.data_dir.resolve()
        with suppress(OSError):  # a hub works without a log, too
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
