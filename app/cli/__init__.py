"""The command line. Exit status 0: done; 2: wrong usage; 1: one line on standard error says why."""

from __future__ import annotations

import typer

from app.cli.analysis import analysis
from app.cli.clients import client, mandate
from app.cli.data import catalogue, export_schema, statistics
from app.cli.demo import demo
from app.cli.documents import documents, trusted_only
from app.cli.export import export
from app.cli.keys import keys
from app.cli.reconciling import reconcile
from app.cli.records import records
from app.cli.retention import restore_check, retention
from app.cli.serving import migrate, serve
from app.cli.simulation import simulate, token
from app.cli.subjects import subject
from app.cli.vetting import certificate, penetration_test, second_factor

cli = typer.Typer(
    name="koppelpunt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The mbo-koppelpunt hub: statuses of applications in, changes out.",
)
cli.command("serve")(serve)
cli.command("migrate")(migrate)
cli.command("demo")(demo)
cli.command("simulate")(simulate)
cli.command("token")(token)
cli.command("reconcile")(reconcile)
cli.command("restore-check")(restore_check)
cli.command("export-schema")(export_schema)
client.command("trusted-only")(trusted_only)
client.command("second-factor")(second_factor)
client.command("penetration-test")(penetration_test)
client.add_typer(certificate, name="certificate")
client.add_typer(subject, name="subject")
cli.add_typer(client, name="client")
cli.add_typer(mandate, name="mandate")
cli.add_typer(documents, name="documents")
cli.add_typer(export, name="export")
cli.add_typer(keys, name="keys")
cli.add_typer(records, name="records")
cli.add_typer(catalogue, name="catalogue")
cli.add_typer(statistics, name="statistics")
cli.add_typer(analysis, name="analysis")
cli.add_typer(retention, name="retention")


def main() -> None:
    """Run the command line."""
    cli()
