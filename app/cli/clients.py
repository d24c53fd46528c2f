"""`koppelpunt client` and `koppelpunt mandate`: for the operator of the hub."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.domain.access import Role
from app.domain.errors import HubError
from app.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import date

    from app.domain.client import ClientOverview
    from app.domain.vetting import VettingRule
    from app.services.clients import ClientService

client = typer.Typer(no_args_is_help=True, help="OAuth clients: add, list, revoke.")
mandate = typer.Typer(no_args_is_help=True, help="What a SIS vendor may do for which institution.")

Result = TypeVar("Result")

_LARGEST_FILE = 1 << 20
_DATE = ["%Y-%m-%d"]

_Brin = Annotated[str, typer.Option("--brin", help="The institution, such as 25GV.")]
_ClientOption = Annotated[str, typer.Option("--client", help="The id of a client of the SIS vendor.")]
_From = Annotated[
    datetime | None, typer.Option("--from", formats=_DATE, help="First day; today if left out.")
]
_To = Annotated[
    datetime | None, typer.Option("--to", formats=_DATE, help="Last day, included; open if left out.")
]


@client.command("add")
def add_client(
    name: Annotated[str, typer.Option("--name", help="What people call the client.")],
    role: Annotated[Role, typer.Option("--role", help="What its organisation is to the hub.")],
    oin: Annotated[str, typer.Option("--oin", help="The 20 characters of the organisation.")],
    jwks: Annotated[
        Path,
        typer.Option(
            "--jwks",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Its public keys: a JWK set or one JWK, in JSON.",
        ),
    ],
    brin: Annotated[
        list[str] | None,
        typer.Option(
            "--brin", help="For sis: an institution with a mandate. For institution: its own. Repeatable."
        ),
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="For region: its code, such as 29.")] = None,
) -> None:
    """Register a client, and print its id as JSON.

    Example: koppelpunt client add --name V --role sis --oin 00000001234567890000 --brin 25GV --jwks keys.json
    """

    async def work(clients: ClientService) -> str:
        return await clients.add_client(
            name=name, role=role, oin=oin, brins=brin or (), region=region, jwks=_keys_in(jwks)
        )

    typer.echo(json.dumps({"client_id": _run(work)}))


@client.command("list")
def list_clients() -> None:
    """Show every client, and what runs out: a table on a terminal, otherwise a line of JSON each.

    Example: koppelpunt client list | jq 'select(.revoked == null)'
    """
    from app.bootstrap import vetting_rule
    from app.settings import load_settings

    clients = _run(lambda service: service.list_clients())
    rule = vetting_rule(load_settings())
    if sys.stdout.isatty():
        _show_table(clients, rule)
        return
    for listed in clients:
        typer.echo(json.dumps(_described(listed, rule), ensure_ascii=False))


@client.command("revoke")
def revoke_client(
    client_id: Annotated[str, typer.Argument(help="The id that `client add` printed.")],
) -> None:
    """End a client; within a minute it is out, open connections included.

    Example: koppelpunt client revoke hub-Zm9vYmFyYmF6cXV4
    """
    _run(lambda service: service.revoke_client(client_id))


@mandate.command("add")
def add_mandate(client_id: _ClientOption, brin: _Brin, start: _From = None, end: _To = None) -> None:
    """Let the organisation of a client report for an institution.

    Example: koppelpunt mandate add --client hub-Zm9vYmFyYmF6cXV4 --brin 25GV --to 2027-07-31
    """
    _run(lambda service: service.add_mandate(client_id, brin, valid_from=_day(start), valid_to=_day(end)))


@mandate.command("remove")
def remove_mandate(client_id: _ClientOption, brin: _Brin, start: _From = None, end: _To = None) -> None:
    """Take days out of a mandate; without dates it ends at once.

    Example: koppelpunt mandate remove --client hub-Zm9vYmFyYmF6cXV4 --brin 25GV --from 2027-01-01
    """
    _run(lambda service: service.remove_mandate(client_id, brin, valid_from=_day(start), valid_to=_day(end)))


def _run(work: Callable[[ClientService], Awaitable[Result]]) -> Result:
    from app.cli.database import open_database
    from app.services.clients import ClientService

    async def with_database() -> Result:
        async with open_database() as database:
            return await work(ClientService(database))

    try:
        return asyncio.run(with_database())
    except (HubError, SettingsError) as error:
        typer.echo(f"koppelpunt: {error}", err=True)
        raise typer.Exit(1) from None


def _keys_in(path: Path) -> object:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError  # noqa: TRY301 - one line for every way in which a file can be wrong
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        message = "The file of --jwks is not JSON."
        raise SettingsError(message) from None


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _described(listed: ClientOverview, rule: VettingRule) -> dict[str, object]:
    return {
        "client_id": listed.client_id,
        "name": listed.name,
        "role": listed.role,
        "oin": listed.oin,
        "organisation": listed.organisation,
        "region": listed.region,
        "brins": list(listed.brins),
        "created": listed.created_at.isoformat(timespec="seconds"),
        "revoked": None if listed.revoked_at is None else listed.revoked_at.isoformat(timespec="seconds"),
        "certificates": {
            one.thumbprint.hex(): one.expires_at.isoformat(timespec="seconds")
            for one in listed.vetting.certificates
        },
        "second_factor": _shown(listed.vetting.second_factor_stated_on),
        "penetration_test": _shown(listed.vetting.penetration_tested_on),
        "penetration_test_until": _shown(rule.penetration_test_until(listed.vetting)),
        "fit_until": _shown(rule.fit_until(listed.vetting)),
        "lacks": [lack.name for lack in rule.lacks(listed.vetting, datetime.now(UTC))],
    }


def _shown(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _joined(names: object) -> str:
    return " ".join(names) if isinstance(names, list) else ""


def _show_table(clients: Sequence[ClientOverview], rule: VettingRule) -> None:
    columns = ("client_id", "name", "role", "oin", "organisation", "region", "brins", "created", "revoked",
               "fit_until", "lacks")  # fmt: skip
    rows: list[tuple[str, ...]] = [columns]
    for listed in clients:
        described = _described(listed, rule)
        described |= {"brins": " ".join(listed.brins), "lacks": _joined(described["lacks"])}
        rows.append(tuple(str(described[name] or "") for name in columns))
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
