"""`koppelpunt documents`: the documents of clients that may run nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli.database import open_database
from app.cli.running import fail, run
from app.services.trusted_documents import TrustedDocumentService
from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.operations import Operations
from graphql_schema.schema import schema

documents = typer.Typer(no_args_is_help=True, help="Documents that clients may name by their ids.")

_LARGEST_FILE = 1 << 20
_Client = Annotated[str, typer.Option("--client", help="The id of the client.")]


@documents.command("add")
def add_documents(
    client_id: _Client,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, readable=True)
    ],
) -> None:
    """Register documents, one a file, and print the id of each: the SHA-256 of the file. Again is no harm.

    Example: koppelpunt documents add --client hub-Zm9vYmFyYmF6cXV4 report.graphql changes.graphql
    """
    texts = [_valid(file) for file in files]

    async def work() -> list[str]:
        async with open_database() as database:
            return await TrustedDocumentService(database).add(client_id, texts)

    for file, document_id in zip(files, run(work()), strict=True):
        typer.echo(json.dumps({"file": str(file), "document_id": document_id}, ensure_ascii=False))


@documents.command("list")
def list_documents(
    client_id: Annotated[str | None, typer.Option("--client", help="Of this client only.")] = None,
) -> None:
    """Show registered documents, a line of JSON each.

    Example: koppelpunt documents list --client hub-Zm9vYmFyYmF6cXV4
    """

    async def work() -> None:
        async with open_database() as database:
            for one in await TrustedDocumentService(database).all(client_id):
                listed = {
                    "client_id": one.client_id,
                    "document_id": one.document_id,
                    "added": one.added_at.isoformat(timespec="seconds"),
                    "text": one.text,
                }
                typer.echo(json.dumps(listed, ensure_ascii=False))

    run(work())


@documents.command("remove")
def remove_document(
    client_id: _Client,
    document_id: Annotated[str, typer.Argument(help="The id that `documents add` printed.")],
) -> None:
    """Remove a document; within a minute its id is unknown.

    Example: koppelpunt documents remove --client hub-Zm9vYmFyYmF6cXV4 2c26b46b68ff…
    """

    async def work() -> None:
        async with open_database() as database:
            await TrustedDocumentService(database).remove(client_id, document_id)

    run(work())


def trusted_only(
    client_id: Annotated[str, typer.Argument(help="The id that `client add` printed.")],
    *,
    off: Annotated[bool, typer.Option("--off", help="Let it run any document again.")] = False,
) -> None:
    """Let a client run its registered documents only; counts within a minute.

    Example: koppelpunt client trusted-only hub-Zm9vYmFyYmF6cXV4
    """

    async def work() -> None:
        async with open_database() as database:
            await TrustedDocumentService(database).set_trusted_only(client_id, trusted_only=not off)

    run(work())


def _valid(file: Path) -> str:
    """Return the text of a file that the schema takes; else end with one line."""
    try:
        if file.stat().st_size > _LARGEST_FILE:
            fail(f"{file.name}: this is no GraphQL document.")
        text = file.read_bytes().decode()  # as it is: the id is the digest of the file
        Operations(schema).prepare(text, None)
    except UnicodeDecodeError:
        fail(f"{file.name}: this is not a text in UTF-8.")
    except RequestFailedError as failure:
        fail(f"{file.name}: {failure.errors[0]['message']}")
    return text
