"""`koppelpunt records`: both logs, in lines of JSON."""

from __future__ import annotations

import getpass
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.bootstrap import clock, load_keys, open_database
from app.cli.running import fail, run
from app.domain.personal_number import PersonalNumber
from app.domain.record import SecurityEvent
from app.domain.record_export import RecordLog
from app.services.record_search import RecordSearch
from app.services.security_log import record_once
from app.services.subjects import SubjectIds
from app.settings import Settings, load_settings

if TYPE_CHECKING:
    from app.domain.personal_number import KeyChain

records = typer.Typer(no_args_is_help=True, help="Who processed whose data, and who did what.")

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
_Since = Annotated[datetime, typer.Option(formats=_FORMATS, help="From this moment on, in UTC.")]
_Until = Annotated[
    datetime | None, typer.Option(formats=_FORMATS, help="Before this moment, in UTC; up to now if left out.")
]
_BEGINNING = datetime(2000, 1, 1)  # noqa: DTZ001 - a default, as Typer reads it


@records.callback()
def _records() -> None:
    """Who processed whose data, and who did what."""


@records.command("export")
def export(
    since: _Since,
    until: _Until = None,
    log: Annotated[RecordLog, typer.Option(help="Which of the two logs.")] = RecordLog.PROCESSING,
    subject: Annotated[
        str | None, typer.Option(help="Processings of one data subject: its id from another record.")
    ] = None,
) -> None:
    """Print one record a line. Of the processing log: one for each data subject, ids encrypted.

    Example: koppelpunt records export --since 2026-04-01 --until 2026-04-02 > records.jsonl
    """
    if subject is not None and log is RecordLog.SECURITY:
        raise typer.BadParameter("the security log has no data subjects", param_hint="--subject")
    settings, keys = _keys()

    async def work() -> None:
        ids = SubjectIds(keys.subject_key)
        student = None if subject is None else ids.open(subject)
        if subject is not None and student is None:
            fail("--subject is not the id of a data subject of this hub")
        async with open_database(settings) as database:
            search = RecordSearch(database, ids, settings.processing_register)
            detail = f"{log} records, {'one data subject' if subject else 'all'}"
            await record_once(database, SecurityEvent.RECORDS_READ, subject=subject or log, detail=detail)
            if log is RecordLog.SECURITY:
                async for event in search.security(_utc(since), _utc(until)):
                    _print({**asdict(event), "at": event.at.isoformat()})
            else:
                await _print_processings(search, since, until, student)

    run(work())


@records.command("of-student")
def of_student(since: _Since = _BEGINNING, until: _Until = None) -> None:
    """Print who processed the data of one student; the personal number is read from standard input.

    Example: koppelpunt records of-student < number.txt
    """
    typed = getpass.getpass("Personal number: ") if sys.stdin.isatty() else sys.stdin.readline()
    digits = PersonalNumber(typed.strip()).digits()
    if digits is None:
        fail("This is no personal number.")
    settings, keys = _keys()

    async def work() -> None:
        ids = SubjectIds(keys.subject_key)
        async with open_database(settings) as database:
            search = RecordSearch(database, ids, settings.processing_register)
            student = await search.student(keys, digits)
            if student is None:
                typer.echo("The hub knows no student of this number.", err=True)
                return
            subject = ids.seal(student)
            await record_once(
                database, SecurityEvent.RECORDS_READ, subject=subject, detail="for the data subject"
            )
            await _print_processings(search, since, until, student)

    run(work())


async def _print_processings(
    search: RecordSearch, since: datetime, until: datetime | None, student: int | None
) -> None:
    async for record in search.processings(_utc(since), _utc(until), student):
        _print(record.members())


def _keys() -> tuple[Settings, KeyChain]:
    settings = load_settings()
    pseudonym_keys, _ = load_keys(settings)
    return settings, pseudonym_keys.latest()


def _utc(moment: datetime | None) -> datetime:
    if moment is None:
        return clock()
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _print(members: dict[str, object]) -> None:
    typer.echo(json.dumps(members, separators=(",", ":")))
