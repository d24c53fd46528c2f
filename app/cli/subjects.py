"""`koppelpunt client subject`: which client a subject of an external issuer is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.services.foreign_subjects import ForeignSubjectService

Result = TypeVar("Result")

subject = typer.Typer(
    no_args_is_help=True, help="Subjects of external issuers, and the clients that they are."
)

_Issuer = Annotated[str, typer.Option("--issuer", help="The issuer, exactly as its tokens name it.")]
_Subject = Annotated[str, typer.Option("--subject", help="What its tokens call the client: `sub`.")]


@subject.command("add")
def add_subject(
    client: Annotated[str, typer.Option("--client", help="The id that `client add` printed.")],
    issuer: _Issuer,
    name: _Subject,
) -> None:
    """Let a subject stand for a client; the issuer must stand in KOPPELPUNT_EXTERNAL_ISSUERS.

    Example: koppelpunt client subject add --client hub-Zm9v --issuer https://idp.example --subject vendor-1
    """
    _run(lambda subjects: subjects.add(client, issuer, name))


@subject.command("list")
def list_subjects() -> None:
    """Show every subject, a line of JSON each.

    Example: koppelpunt client subject list
    """
    for issuer, name, client in _run(lambda subjects: subjects.all()):
        typer.echo(json.dumps({"issuer": issuer, "subject": name, "client_id": client}, ensure_ascii=False))


@subject.command("remove")
def remove_subject(issuer: _Issuer, name: _Subject) -> None:
    """Let a subject stand for nobody; within a minute it is out, open connections included.

    Example: koppelpunt client subject remove --issuer https://idp.example --subject vendor-1
    """
    _run(lambda subjects: subjects.remove(issuer, name))


def _run(work: Callable[[ForeignSubjectService], Awaitable[Result]]) -> Result:
    from app.cli.database import open_database
    from app.services.foreign_subjects import ForeignSubjectService

    async def with_database() -> Result:
        async with open_database() as database:
            return await work(ForeignSubjectService(database))

    return run(with_database())
