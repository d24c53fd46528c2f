"""`koppelpunt catalogue import`, `koppelpunt statistics refresh`, `koppelpunt export-schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.bootstrap import clock
from app.cli.database import open_database
from app.cli.running import fail, run
from app.services.catalogue import CatalogueService
from app.services.statistics import StatisticsService
from app.settings import load_settings
from graphql_schema.schema import schema

catalogue = typer.Typer(no_args_is_help=True, help="Institutions, programmes and schools.")
statistics = typer.Typer(no_args_is_help=True, help="The frozen figures.")


@catalogue.callback()
def _catalogue() -> None:
    """Institutions, programmes and schools."""


@statistics.callback()
def _statistics() -> None:
    """The frozen figures."""


@catalogue.command("import")
def import_catalogue(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, readable=True)
    ],
) -> None:
    """Import CSV files; their columns tell what they hold. Again is no harm.

    Example: koppelpunt catalogue import institutions.csv programmes.csv
    """

    async def work() -> None:
        async with open_database() as database:
            service = CatalogueService(database)
            for file in files:
                try:
                    counts = await service.import_file(file)
                except UnicodeDecodeError:
                    fail(f"{file.name}: this is not a CSV file in UTF-8.")
                institutions, programmes, schools = counts
                typer.echo(
                    f"{file.name}: {institutions} institutions, {programmes} programmes, {schools} schools"
                )

    run(work())


@statistics.command("refresh")
def refresh_statistics() -> None:
    """Freeze the figures of this moment.

    Example: koppelpunt statistics refresh
    """

    async def work() -> None:
        threshold = load_settings().statistics_threshold
        async with open_database() as database:
            as_of = await StatisticsService(database, clock, threshold=threshold).refresh()
            typer.echo(f"as of {as_of.isoformat()}")

    run(work())


def export_schema() -> None:
    """Print the GraphQL schema as it is committed in graphql_schema/schema.graphql.

    Example: koppelpunt export-schema > schema.graphql
    """
    typer.echo(schema.as_str())
