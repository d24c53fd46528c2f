"""`koppelpunt demo`: a hub with demo clients, a catalogue and traffic, for who wants to see it work."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import signal
import socket
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.running import fail, run
from app.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from app.simulation.live import LiveTraffic

_LOG = "hub.log"
_BURST = 300  # registrations, so that figures stand above the threshold of disclosure
_MESSAGES_A_SECOND = 4.0
_READY_SECONDS = 60.0
_STOP_SECONDS = 25.0
_LOOK_SECONDS = 0.1


def demo(
    host: Annotated[str | None, typer.Option(help="Where to listen; loopback unless told.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Where to listen.")] = None,
) -> None:
    """Start a hub with demo clients and simulated traffic, and show the changes as they arrive.

    Its data stay in KOPPELPUNT_DATA_DIR. Ctrl-C ends it.

    Example: koppelpunt demo --port 8000
    """
    from app.simulation.client import HubError
    from app.simulation.credentials import CredentialsError

    try:
        settings = load_settings(host=host, port=port, demo=True, introspection=True)
        run(_until_stopped(settings))
    except (SettingsError, HubError, CredentialsError) as error:
        fail(str(error))


async def _until_stopped(settings: Settings) -> None:
    work = asyncio.create_task(_demo(settings))
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    stop = asyncio.create_task(stopped.wait())
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        stop.cancel()
        work.result()
        return
    typer.echo("stopping", err=True)
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def _demo(settings: Settings) -> None:
    from app.bootstrap import clock
    from app.cli.casting import DEMO_CAST, cast, import_builtin_catalogue
    from app.cli.database import open_database
    from app.services.statistics import StatisticsService
    from app.simulation.catalogue import DEMO_INSTITUTION
    from app.simulation.client import http_client
    from app.simulation.credentials import FILE_NAME
    from app.simulation.live import LiveTraffic

    _check_port(settings)
    path = settings.data_dir / FILE_NAME
    typer.echo(f"The data of this demo are in {settings.data_dir.resolve()}", err=True)
    async with open_database() as database:
        brins, programmes = await import_builtin_catalogue(database)
        clients = await cast(database, path, DEMO_CAST, brins)
        async with _hub(settings) as hub, http_client(settings.base_url) as http:
            await _ready(http, hub, settings)
            seed = secrets.randbits(32)
            traffic = LiveTraffic(http, clients, programmes, seed, favourite=DEMO_INSTITUTION.brin)
            messages = await traffic.burst(_BURST)
            statistics = StatisticsService(database, clock, threshold=settings.statistics_threshold)
            await statistics.refresh()
            await _show_where(http, settings, messages)
            await _play(traffic, hub)


async def _play(traffic: LiveTraffic, hub: asyncio.subprocess.Process) -> None:
    """Play and show until something ends, which only a failure does."""
    typer.echo(f"What arrives at {traffic.watched}: number, student, where, step. Ctrl-C ends the demo.\n")
    parts = {
        asyncio.create_task(traffic.watch(typer.echo)),
        asyncio.create_task(traffic.play(_MESSAGES_A_SECOND)),
        asyncio.create_task(hub.wait()),
    }
    try:
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            part.result()
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
    message = f"The hub has ended with status {hub.returncode}"
    raise SettingsError(message)


def _check_port(settings: Settings) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        message = f"The hub cannot listen on {where} ({error.strerror}); give another --port"
        raise SettingsError(message) from None


@asynccontextmanager
async def _hub(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the hub as a process of its own, in a session of its own: Ctrl-C is for the demo, which ends it.

    A demo that is killed takes the hub with it: that ends when nobody holds its standard input any more.
    """
    environment = os.environ | {
        "KOPPELPUNT_DEMO": "true",
        "KOPPELPUNT_INTROSPECTION": "true",
        "KOPPELPUNT_HOST": settings.host,
        "KOPPELPUNT_PORT": str(settings.port),
    }
    log = os.open(settings.data_dir / _LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.cli", "serve", "--no-migrate", "--until-input-ends",
            stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(log)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(http: httpx.AsyncClient, hub: asyncio.subprocess.Process, settings: Settings) -> None:
    import httpx as library

    with suppress(TimeoutError):
        async with asyncio.timeout(_READY_SECONDS):
            while hub.returncode is None:
                with suppress(library.HTTPError):
                    if (await http.get("/health/ready")).is_success:
                        return
                await asyncio.sleep(_LOOK_SECONDS)
    message = f"The hub does not start; see {settings.data_dir / _LOG}"
    raise SettingsError(message)


async def _show_where(http: httpx.AsyncClient, settings: Settings, messages: int) -> None:
    from app.cli.casting import INSTITUTION
    from app.simulation.catalogue import DEMO_INSTITUTION
    from app.simulation.run import school_year

    url = settings.base_url
    graphiql = (await http.get("/graphiql")).is_success
    figures = (
        f'{{ multipleRegistrationStatistics(brin: "{DEMO_INSTITUTION.brin}", schoolYear: {school_year()}) '
        "{ asOf total { registrations { display } multiple { display } students { display } "
        "expectedEnrolments { display } } } }"
    )
    student = "reference registrations { institution { name } programme { name } status }"
    lines = [
        "",
        f"The hub runs at {url} and has taken in {messages:,} messages.",
        "",
        f"  {url}/                the page: a live feed and statistics",
        *([f"  {url}/graphiql        the API, to try out"] if graphiql else []),
        f"  {url}/health/ready    whether it is ready",
        f"  {url}/metrics         figures for Prometheus",
        f"  what the hub logs: {_from_here(settings.data_dir / _LOG)}",
        "",
        "To paste, in another terminal:",
        "",
        f"  TOKEN=$({_token_command(settings, 'Demo transfer system 1')})",
        _curl(url, "{ viewer { organisation { name } role scopes } }"),
        _curl(url, f"{{ followedStudents(first: 3) {{ nodes {{ {student} }} }} }}"),
        f"  TOKEN=$({_token_command(settings, INSTITUTION)})",
        _curl(url, figures),
        "",
    ]
    typer.echo("\n".join(lines))


def _from_here(path: Path) -> str:
    return os.path.relpath(path)


def _token_command(settings: Settings, name: str) -> str:
    from app.simulation.credentials import FILE_NAME

    program = _from_here(Path(sys.executable).with_name("koppelpunt"))
    clients = _from_here(settings.data_dir / FILE_NAME)
    return shlex.join([program, "token", "--url", settings.base_url, "--clients", clients, "--name", name])


def _curl(url: str, query: str) -> str:
    body = '{"query": "' + query.replace('"', '\\"') + '"}'
    return (
        f'  curl -s {url}/graphql -H "Authorization: Bearer $TOKEN" '
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
