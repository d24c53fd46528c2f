"""`koppelpunt export`: files, through the API alone."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.running import fail, run
from app.domain.export import ExportFormat

if TYPE_CHECKING:
    import httpx

export = typer.Typer(no_args_is_help=True, help="Lists and figures as files.")

_MUTATION = """mutation Export($input: ExportFollowedStudentsInput!) {
  exportFollowedStudents(input: $input) { path } }"""


@export.callback()
def _export() -> None:
    """Lists and figures as files."""


@export.command("followed-students")
def export_followed_students(  # noqa: PLR0917 - options, by name
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to; .csv or .xlsx tells the format.")],
    client: Annotated[str, typer.Option("--client", help="The id of your client.")],
    key: Annotated[
        Path,
        typer.Option("--key", exists=True, dir_okay=False, readable=True, help="Its private key, a JWK."),
    ],
    school_year: Annotated[int | None, typer.Option("--school-year", help="2026 is 2026/2027.")] = None,
    without_live_registration: Annotated[
        bool | None,
        typer.Option("--without-live/--with-live", help="Only those without a live registration, or with."),
    ] = None,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], help="By the statuses at the end of this day."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of the hub; that of the settings unless told.")
    ] = None,
) -> None:
    """Write the followed students of a transfer system to a file, a line for each registration.

    Example: koppelpunt export followed-students list.csv --client hub-… --key key.json --on 2026-10-01
    """
    from app.settings import load_settings
    from app.simulation.client import HubClient, HubError, http_client
    from app.simulation.credentials import CredentialsError, credentials_of

    wanted = {
        "format": _format(file),
        "schoolYear": school_year,
        "withoutLiveRegistration": without_live_registration,
        "on": None if on is None else on.date().isoformat(),
    }

    async def work() -> None:
        async with http_client(url or load_settings().base_url) as http:
            hub = HubClient(http, credentials_of(client, key))
            answer = await hub.ask(_MUTATION, {"input": wanted})
            offered = answer["exportFollowedStudents"]
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
