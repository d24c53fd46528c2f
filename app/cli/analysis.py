"""`koppelpunt analysis export`: for those who model the intake."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from app.bootstrap import clock
from app.cli.database import open_database
from app.cli.running import fail, run
from app.domain.analysis import FIELDS, AnalysisRow
from app.domain.record import SecurityEvent
from app.services.analysis_export import AnalysisExport
from app.services.security_log import record_once

Write: TypeAlias = Callable[[Sequence[AnalysisRow]], object]


class Format(StrEnum):
    """How the file is written."""

    CSV = "csv"
    PARQUET = "parquet"


analysis = typer.Typer(no_args_is_help=True, help="For those who model the intake.")


@analysis.callback()
def _analysis() -> None:
    """For those who model the intake."""


@analysis.command("export")
def export(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="What is to be written; it may not exist.")],
    *,
    school_year: Annotated[
        int | None, typer.Option("--school-year", help="2026 is 2026/2027; all years unless told.")
    ] = None,
    kind: Annotated[
        Format | None, typer.Option("--format", help="By the end of the file's name unless told.")
    ] = None,
) -> None:
    """Write a row per registration and status, with a key per student that no other export shares.

    Example: koppelpunt analysis export registrations.parquet --school-year 2026
    """
    try:
        chosen = kind or Format(file.suffix.removeprefix("."))
    except ValueError:
        fail(f"{file.name}: say --format csv or --format parquet, or end the name so")
    writing = {Format.CSV: _csv, Format.PARQUET: _parquet}[chosen]

    async def work() -> int:
        count = 0
        async with open_database() as database:
            await record_once(database, SecurityEvent.ANALYSIS_EXPORTED, subject=f"school year {school_year}")
            with writing(file) as write:
                async with aclosing(AnalysisExport(database, clock).rows(school_year)) as chunks:
                    async for rows in chunks:
                        write(rows)
                        count += len(rows)
                        if sys.stderr.isatty():
                            typer.echo(f"\r{count:,} rows", nl=False, err=True)
        return count

    try:
        count = run(work())
    except FileExistsError:
        fail(f"{file} exists already")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
    if sys.stderr.isatty():
        typer.echo("", err=True)
    typer.echo(f"{count} rows")


@contextmanager
def _csv(file: Path) -> Iterator[Write]:
    with file.open("x", encoding="utf-8", newline="") as lines:
        file.chmod(0o600)
        writer = csv.writer(lines)
        writer.writerow(FIELDS)
        yield writer.writerows


@contextmanager
def _parquet(file: Path) -> Iterator[Write]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        fail("Parquet needs pyarrow: pip install 'mbo-koppelpunt[parquet]'")
    schema = pa.schema([(name, pa.string()) for name in FIELDS])
    with file.open("xb") as sink, parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        file.chmod(0o600)

        def write(rows: Sequence[AnalysisRow]) -> None:
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            writer.write_table(pa.table(columns, schema=schema))

        yield write
