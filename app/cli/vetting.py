"""`koppelpunt client certificate`, `second-factor`, `penetration-test`: what a client is let in by."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.running import fail, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.services.vetting import VettingService

Result = TypeVar("Result")

certificate = typer.Typer(no_args_is_help=True, help="Certificates that a client's tokens are bound to.")

_LARGEST_FILE = 1 << 16
_THUMBPRINT_LETTERS = 64
_DATE = ["%Y-%m-%d"]

_ClientOption = Annotated[str, typer.Option("--client", help="The id that `client add` printed.")]
_ClientArgument = Annotated[str, typer.Argument(help="The id that `client add` printed.")]


@certificate.command("add")
def add_certificate(
    client: _ClientOption,
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, readable=True, help="The certificate, in PEM or DER."),
    ],
) -> None:
    """Bind a client to a certificate, beside those that it has, and print its thumbprint as JSON.

    The serialNumber in its subject must be the client's OIN. From then on the client gets tokens, and uses
    them, over connections with one of its certificates alone.

    Example: koppelpunt client certificate add --client hub-Zm9vYmFyYmF6cXV4 vendor.pem
    """
    if file.stat().st_size > _LARGEST_FILE:
        fail("The file does not hold one certificate, in PEM or DER.")
    added = _run(lambda vetting: vetting.add_certificate(client, file.read_bytes()))
    until = added.expires_at.isoformat(timespec="seconds")
    typer.echo(json.dumps({"thumbprint": added.thumbprint.hex(), "expires": until}))


@certificate.command("remove")
def remove_certificate(
    client: _ClientOption,
    thumbprint: Annotated[str, typer.Argument(help="As `certificate add` and `client list` print it.")],
) -> None:
    """Take a certificate away; within a minute nobody gets in by it, open connections included.

    Example: koppelpunt client certificate remove --client hub-Zm9vYmFyYmF6cXV4 8f14e45fceea167a…
    """
    letters = thumbprint.replace(":", "").lower()
    try:
        taken = bytes.fromhex(letters if len(letters) == _THUMBPRINT_LETTERS else "")
    except ValueError:
        taken = b""
    if not taken:
        fail("A thumbprint has 64 hexadecimal digits: the SHA-256 of the certificate.")
    _run(lambda vetting: vetting.remove_certificate(client, taken))


def second_factor(
    client: _ClientArgument,
    stated: Annotated[
        datetime | None, typer.Option("--stated", formats=_DATE, help="The day of the statement.")
    ] = None,
    withdrawn: Annotated[bool, typer.Option("--withdrawn", help="Take it off the record.")] = False,
) -> None:
    """Record the organisation's statement that its own users log in with a second factor.

    Example: koppelpunt client second-factor hub-Zm9vYmFyYmF6cXV4 --stated 2026-09-01
    """
    if (stated is None) is not withdrawn:
        raise typer.BadParameter("say either --stated DAY or --withdrawn")
    day = None if stated is None else stated.date()
    _run(lambda vetting: vetting.state_second_factor(client, day))


def penetration_test(
    client: _ClientArgument,
    on: Annotated[datetime, typer.Option("--on", formats=_DATE, help="The day on which it was done.")],
) -> None:
    """Record when the system of a client was last put to a penetration test.

    Example: koppelpunt client penetration-test hub-Zm9vYmFyYmF6cXV4 --on 2026-09-01
    """
    _run(lambda vetting: vetting.record_penetration_test(client, on.date()))


def _run(work: Callable[[VettingService], Awaitable[Result]]) -> Result:
    from app.bootstrap import vetting_rule
    from app.cli.database import open_database
    from app.services.vetting import VettingService
    from app.settings import load_settings

    async def with_database() -> Result:
        async with open_database() as database:
            return await work(VettingService(database, vetting_rule(load_settings())))

    return run(with_database())
