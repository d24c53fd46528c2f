"""`koppelpunt export`: files, through the API alone."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.connecting import Ca, Certificate, CertificateKey, Way
from app.cli.running import fail, run
from app.domain.export import ExportFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

export = typer.Typer(no_args_is_help=True, help="Lists and figures as files.")

_FOLLOWED_STUDENTS = """mutation Export($input: ExportFollowedStudentsInput!) {
  offered: exportFollowedStudents(input: $input) { path } }"""
_ANNUAL_OVERVIEW = """mutation Export($input: ExportAnnualOverviewInput!) {
  offered: exportAnnualOverview(input: $input) { path } }"""

_File = Annotated[Path, typer.Argument(dir_okay=False, help="Where to; .csv or .xlsx tells the format.")]
_Client = Annotated[str, typer.Option("--client", help="The id of your client.")]
_Key = Annotated[
    Path, typer.Option("--key", exists=True, dir_okay=False, readable=True, help="Its private key, a JWK.")
]
_Url = Annotated[str | None, typer.Option(help="Address of the hub; that of the settings unless told.")]


@export.callback()
def _export() -> None:
    """Lists and figures as files."""


@export.command("followed-students")
def export_followed_students(  # noqa: PLR0917 - options, by name
    file: _File,
    client: _Client,
    key: _Key,
    school_year: Annotated[int | None, typer.Option("--school-year", help="2026 is 2026/2027.")] = None,
    without_live_registration: Annotated[
        bool | None,
        typer.Option("--without-live/--with-live", help="Only those without a live registration, or with."),
    ] = None,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], help="By the statuses at the end of this day."),
    ] = None,
    url: _Url = None,
    certificate: Certificate = None,
    certificate_key: CertificateKey = None,
    ca: Ca = None,
) -> None:
    """Write the followed students of a transfer system to a file, a line for each registration.

    Example: koppelpunt export followed-students list.csv --client hub-… --key key.json --on 2026-10-01
    """
    wanted = {
        "format": _format(file),
        "schoolYear": school_year,
        "withoutLiveRegistration": without_live_registration,
        "on": None if on is None else on.date().isoformat(),
    }

    _export_to(file, _FOLLOWED_STUDENTS, wanted, client, key, Way(url, certificate, certificate_key, ca))


@export.command("annual-overview")
def export_annual_overview(  # noqa: PLR0917 - options, by name
    file: _File,
    client: _Client,
    key: _Key,
    school_year: Annotated[int, typer.Option("--school-year", help="2026 is 2026/2027.")],
    url: _Url = None,
    certificate: Certificate = None,
    certificate_key: CertificateKey = None,
    ca: Ca = None,
) -> None:
    """Write the country's figures of 1 October to a file, a line for each institution, programme and region.

    Example: koppelpunt export annual-overview 2026.xlsx --client hub-… --key key.json --school-year 2026
    """
    wanted = {"format": _format(file), "schoolYear": school_year}
    _export_to(file, _ANNUAL_OVERVIEW, wanted, client, key, Way(url, certificate, certificate_key, ca))


def _export_to(
    file: Path, mutation: str, wanted: Mapping[str, object], client: str, key: Path, way: Way
) -> None:
    from app.settings import load_settings
    from app.simulation.client import HubClient, HubError, http_client
    from app.simulation.credentials import CredentialsError, credentials_of
    from app.simulation.tls import tls_context

    async def work() -> None:
        tls = tls_context(way.certificate, way.certificate_key, way.ca)
        async with http_client(way.url or load_settings().base_url, tls) as http:
            hub = HubClient(http, credentials_of(client, key))
            offered = (await hub.ask(mutation, {"input": wanted}))["offered"]
            if not isinstance(offered, dict):
                raise HubError("the hub offers no export")
            await _download(http, str(offered["path"]), await hub.token(), file)

    try:
        run(work())
    except (HubError, CredentialsError) as error:
        fail(str(error))


def _format(file: Path) -> str:
    with suppress(ValueError):
        return ExportFormat(file.suffix.removeprefix(".").upper()).value
    message = "The name of the file must end with .csv or .xlsx."
    raise typer.BadParameter(message)


async def _download(http: httpx.AsyncClient, path: str, token: str, file: Path) -> None:
    """Put the file in its place once it is whole."""
    import httpx

    from app.simulation.client import HubError

    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        headers = {"Authorization": f"Bearer {token}"}
        async with http.stream("GET", path, headers=headers, timeout=httpx.Timeout(60, read=None)) as answer:
            if answer.is_error:
                raise HubError(f"the hub answered {answer.status_code}")
            with unfinished.open("wb") as target:
                async for chunk in answer.aiter_bytes():
                    target.write(chunk)
        unfinished.replace(file)
    except httpx.HTTPError as error:
        raise HubError(f"the export broke off ({type(error).__name__})") from None
    except OSError as error:
        raise HubError(f"{file} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
