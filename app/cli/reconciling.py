"""`koppelpunt reconcile`: what a sender has against what the hub has, through the API alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli.connecting import Ca, Certificate, CertificateKey
from app.cli.running import fail, run


def reconcile(  # noqa: PLR0917 - options, by name
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV: application_id, status.")
    ],
    brin: Annotated[str, typer.Option("--brin", help="The institution, such as 25GV.")],
    school_year: Annotated[int, typer.Option("--school-year", help="2026 is 2026/2027.")],
    client: Annotated[str, typer.Option("--client", help="The id of your client.")],
    key: Annotated[
        Path,
        typer.Option("--key", exists=True, dir_okay=False, readable=True, help="Its private key, a JWK."),
    ],
    url: Annotated[
        str | None, typer.Option(help="Address of the hub; that of the settings unless told.")
    ] = None,
    certificate: Certificate = None,
    certificate_key: CertificateKey = None,
    ca: Ca = None,
    full: Annotated[
        bool, typer.Option("--full", help="Compare every line, with programme, learning path and year.")
    ] = False,
) -> None:
    """Print each registration in which a SIS and the hub differ, as a line of JSON. Nothing is changed.

    Exit status 1 if any does. Without --full only parts whose digests differ are compared line by line.

    Example: koppelpunt reconcile list.csv --brin 25GV --school-year 2026 --client hub-… --key key.json
    """
    from app.cli.comparison import Comparison, read_items
    from app.domain.access import Role
    from app.settings import load_settings
    from app.simulation.client import HubClient, HubError, http_client
    from app.simulation.credentials import Credentials, CredentialsError, read_key
    from app.simulation.tls import tls_context

    async def work() -> int:
        items = read_items(file)
        credentials = Credentials(client, Role.SIS, client, (brin,), read_key(key))
        tls = tls_context(certificate, certificate_key, ca)
        async with http_client(url or load_settings().base_url, tls) as http:
            comparison = Comparison(HubClient(http, credentials).ask, items, brin, school_year, full=full)
            count = 0
            async for difference in comparison.differences():
                count += 1
                typer.echo(json.dumps(difference, ensure_ascii=False))
        typer.echo(f"{len(items)} compared in {comparison.exchanges} exchanges, {count} differ", err=True)
        return count

    try:
        count = run(work())
    except (HubError, CredentialsError) as error:
        fail(str(error))
    if count:
        raise typer.Exit(1)
