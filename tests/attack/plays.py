"""What is attacked: invented countries, some of them as small and lopsided as can be, over many days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.domain.disclosure.patterns import TOTAL
from app.domain.disclosure.publishing import Before, Published, publish
from app.domain.disclosure.suppression import Pattern
from app.domain.expected import ByRule, Estimates
from app.domain.status_mix import StatusMixes
from tests.attack.days import findings
from tests.factories.cells import a_row, year_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from app.domain.disclosure.moving import Block
    from app.domain.disclosure.publishing import Estimating
    from app.domain.disclosure.year import YearOfCells

THRESHOLD = 5
BRINS = ("00AA", "00BB", "00CC", "00DD", "00EE")
NOTHING = Before()
BY_RULE = Estimates(StatusMixes([], THRESHOLD), ByRule())
_START = datetime(2026, 1, 5, tzinfo=UTC)
_STATUSES = ("RECEIVED", "RECEIVED", "OFFERED", "ENROLLED", "WITHDRAWN", "REJECTED")


def a_country(draw: Random, students: int, institutions: int, programmes: int) -> list[dict[str, Any]]:
    """Return the registrations of students who apply at random."""
    return [row for student in range(students) for row in a_student(draw, student, institutions, programmes)]


def a_student(draw: Random, student: int, institutions: int, programmes: int) -> list[dict[str, Any]]:
    """Return the registrations of one student."""
    region = draw.choice((None, "10", "11", "12"))
    return [
        a_row(
            student,
            draw.choice(BRINS[:institutions]),
            programme_code=f"{25000 + int(programmes * draw.random() ** 2)}",
            learning_path=draw.choice(("BOL", "BOL", "BBL")),
            programme_year=draw.choice((1, 1, 1, 2)),
            status=draw.choice(_STATUSES),
            status_source=draw.choice(("SIS", "SIS", "CAMBO")),
            region=region,
        )
        for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 5)))
    ]


def published(
    year: YearOfCells, before: Before = NOTHING, day: int = 0, estimate: Estimating = BY_RULE
) -> list[Published]:
    """Return all tables of a day."""
    moment = _START + timedelta(days=day)
    return list(publish(year, before, moment, THRESHOLD, estimate, {}))


def in_force(tables: list[Published]) -> Before:
    """Return what the next day has before it."""
    return Before({(table.name, table.of): table.block for table in tables if table.block is not None})


def subtracted(draw: Random, days: int, *, still: bool) -> Iterator[tuple[int, str]]:
    """Let a country grow day by day; yield what each two days tell; `still`: as the rules have it."""
    institutions, programmes = draw.choice((2, 3, 5)), draw.choice((1, 3, 8))
    rows = a_country(draw, draw.choice((40, 150, 400)), institutions, programmes)
    seen: list[list[Published]] = []  # every one of them may have been kept
    for day in range(days):
        tables = published(year_of(rows), in_force(seen[-1]) if still and seen else NOTHING, day)
        for before in seen:
            for finding in findings(before, tables, THRESHOLD):
                yield day, finding
        seen.append(tables)
        for number in range(draw.choice((0, 1, 1, 2, 12))):
            rows += a_student(draw, 10_000 + 100 * day + number, institutions, programmes)
        for row in draw.sample(rows, draw.choice((0, 1, 3))):
            row["status"] = draw.choice(_STATUSES)


def naive(tables: list[Published]) -> list[Published]:
    """Return the national tables as they would be with nothing hidden but what is below the threshold."""
    return [table if table.block is None else replace(table, block=_naive(table.block)) for table in tables]


def _naive(block: Block) -> Block:
    small = frozenset(
        name for name, share in {TOTAL: block.total, **block.parts}.items() if share.part < THRESHOLD
    )
    return replace(block, pattern=Pattern(small, small))
