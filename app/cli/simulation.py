"""`koppelpunt simulate` and `koppelpunt token`: what clients of the hub do, through its API alone."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.connecting import Ca, Certificate, CertificateKey
from app.cli.running import fail, run
from app.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.simulation.credentials import Credentials

_SEEDS = 1_000_000
_REFERENCE_DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
_FILES = ("institutions.csv", "programmes.csv")

_Clients = Annotated[
    Path | None,
    typer.Option(
        "--clients",
        dir_okay=False,
        exists=True,
        help="Clients with their keys, as an earlier run wrote them; for a hub whose database is elsewhere.",
    ),
]
_Url = Annotated[str | None, typer.Option(help="Address of the hub; that of the settings unless told.")]


def simulate(  # noqa: PLR0917 - options, by name
    registrations: Annotated[int, typer.Option(min=1, max=500_000, help="How many.")] = 1000,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Messages per second; as fast as it goes if left out.")
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="Address of the hub; several times for hubs on one database. Else that of the settings."
        ),
    ] = None,
    clients: _Clients = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            envvar="KOPPELPUNT_REFERENCE_DATA",
            file_okay=False,
            exists=True,
            help="Folder with institutions.csv and programmes.csv; a small built-in catalogue if left out.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Messages in a batch.")] = 500,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Batches at a time.")] = 4,
    certificates: Annotated[
        Path | None,
        typer.Option(
            "--certificates",
            file_okay=False,
            exists=True,
            help="Folder with CLIENT_ID.pem and CLIENT_ID.key of clients that the hub knows by certificates.",
        ),
    ] = None,
    ca: Ca = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed plays the same traffic.")] = None,
) -> None:
    """Play SIS vendors, CAMBO and transfer systems against a running hub, and prove that nothing was missed.

    Exit status 1 if anything was. The clients are registered in the hub's database, where it can be reached.

    Example: koppelpunt simulate --registrations 10000 --url http://127.0.0.1:8000
    """
    from app.simulation.client import HubError
    from app.simulation.credentials import CredentialsError
    from app.simulation.run import Plan
    from app.simulation.run import simulate as play
    from app.simulation.tls import with_certificates

    async def work() -> None:
        settings = load_settings()
        players, programmes = await _players(settings, clients, data or _reference_data())
        plan = Plan(
            tuple(url or [settings.base_url]),
            secrets.randbelow(_SEEDS) if seed is None else seed,
            registrations,
            programmes,
            rate,
            batch,
            concurrency,
        )
        players = with_certificates(players, certificates, ca)
        show = _progress()
        report = await play(plan, players, show)
        show("")
        for line in report.lines():
            typer.echo(line)
        if not report.proven:
            raise typer.Exit(1)

    try:
        run(work())
    except (HubError, CredentialsError) as error:
        fail(str(error))


def token(
    name: Annotated[str, typer.Option("--name", help="Which of the clients.")],
    clients: _Clients = None,
    url: _Url = None,
    certificate: Certificate = None,
    certificate_key: CertificateKey = None,
    ca: Ca = None,
) -> None:
    """Print an access token of a demo client, to be used in an Authorization header.

    Example: koppelpunt token --name "Demo transfer system 1"
    """
    from app.simulation.client import HubClient, HubError, http_client
    from app.simulation.credentials import FILE_NAME, CredentialsError, named, read_credentials
    from app.simulation.tls import tls_context

    async def work() -> str:
        settings = load_settings()
        credentials = named(read_credentials(clients or settings.data_dir / FILE_NAME), name)
        tls = tls_context(certificate, certificate_key, ca)
        async with http_client(url or settings.base_url, tls) as http:
            return await HubClient(http, credentials).token()

    try:
        typer.echo(run(work()))
    except (HubError, CredentialsError) as error:
        fail(str(error))


async def _players(
    settings: Settings, clients: Path | None, data: Path | None
) -> tuple[tuple[Credentials, ...], tuple[str, ...]]:
    """Return who plays and the programmes to play with; registers both unless the clients are given."""
    from app.cli.casting import SIMULATION_CAST, cast, import_builtin_catalogue, import_catalogue
    from app.cli.database import open_database
    from app.simulation.catalogue import PROGRAMMES
    from app.simulation.credentials import FILE_NAME, read_credentials

    if clients is not None:
        return await asyncio.to_thread(read_credentials, clients), tuple(one.code for one in PROGRAMMES)
    if settings.database_url is None and not (settings.data_dir / "postgres").is_dir():
        message = (
            f"No hub has run in {settings.data_dir}: start one with `koppelpunt serve`, set "
            "KOPPELPUNT_DATABASE_URL or KOPPELPUNT_DATA_DIR, or give --clients"
        )
        raise SettingsError(message)
    async with open_database() as database:
        if data is None:
            brins, programmes = await import_builtin_catalogue(database)
        else:
            brins, programmes = await import_catalogue(database, data)
        return await cast(database, settings.data_dir / FILE_NAME, SIMULATION_CAST, brins), programmes


def _reference_data() -> Path | None:
    """Return the folder of reference data beside the project, if there is one."""
    folder = Path(os.path.normpath(_REFERENCE_DATA))
    return folder if all((folder / name).is_file() for name in _FILES) else None


def _progress() -> Callable[[str], None]:
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda text: typer.echo(f"\r\x1b[K{text}", nl=False, err=True)
