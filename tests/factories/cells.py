"""Cells of a school year without a database: counted in Python, as the disclosure takes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.domain.cube import Cell, Dimension
from app.domain.disclosure.year import YearOfCells
from tests.factories.brute_force import cube

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.factories.school_year import Country

YEAR = 2026
CREATED = datetime(2026, 4, 1, tzinfo=UTC)


def a_row(student: int, brin: str, **changed: object) -> dict[str, Any]:
    """Return a registration as the count reads it."""
    return {
        "student_id": student,
        "school_year": YEAR,
        "brin": brin,
        "programme_code": "25604",
        "learning_path": "BOL",
        "programme_year": 1,
        "status": "RECEIVED",
        "status_source": "SIS",
        "region": None,
        "created_at": CREATED,
        **changed,
    }


def rows_of(country: Country, students: int) -> list[dict[str, Any]]:
    """Return the registrations of so many students as they are at the end of their year."""
    return [
        a_row(
            student,
            brin,
            programme_code=programme,
            learning_path=path,
            programme_year=programme_year,
            region=region,
            status=statuses[-1][1],
            status_source=statuses[-1][2],
            created_at=statuses[0][0],
        )
        for student in range(students)
        for (brin, programme, path, programme_year, region), statuses in country.student()
    ]


def year_of(rows: Iterable[Mapping[str, Any]], regions: Mapping[str, str] | None = None) -> YearOfCells:
    """Count the registrations of one school year."""
    cells: dict[tuple[Dimension, str], dict[str, Cell]] = {}
    for (_, dimension, brin, category), measures in cube(rows, regions or {}).items():
        cells.setdefault((Dimension(dimension), brin), {})[category] = Cell(brin, category, **measures)
    return YearOfCells(cells, tuple(sorted({brin for _, brin in cells if brin})))
