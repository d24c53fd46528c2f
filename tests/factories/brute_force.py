"""The cube counted again in plain Python, row by row, without the cleverness of the statements."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


LIVE = {"RECEIVED", "OFFERED", "ENROLLED"}
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
MEASURES = (
    "registrations",
    "live",
    "multiple",
    "multiple_live",
    "students",
    "own_multiple",
    "own_multiple_live",
)
ROWS = """
select student_id, school_year, brin, programme_code, learning_path, programme_year, status, status_source,
       region, created_at
from registration where annulled_by is null
"""


def cube(  # noqa: C901 - one loop that can be followed by eye
    rows: Iterable[Mapping[str, Any]], regions: Mapping[str, str]
) -> dict[tuple[Any, ...], dict[str, int]]:
    """Return the measures of each cell by (school year, dimension, brin, category); coverage left out."""
    by_student = defaultdict(list)
    for row in rows:
        by_student[row["student_id"], row["school_year"]].append(row)
    cells: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(MEASURES, 0))
    for (_, year), own in by_student.items():
        seen: set[tuple[object, ...]] = set()
        live = [row for row in own if row["status"] in LIVE]
        for row in own:
            here = [one for one in own if one["brin"] == row["brin"]]
            lives = row["status"] in LIVE
            calendar = row["created_at"].astimezone(AMSTERDAM).isocalendar()
            categories = {
                "TOTAL": "",
                "PROGRAMME": row["programme_code"],
                "LEARNING_PATH": row["learning_path"],
                "PROGRAMME_YEAR": str(row["programme_year"]),
                "WEEK": f"{calendar.year}-W{calendar.week:02d}",
                "STATUS": f"{row['status_source']} {row['status']}",
                "REGION": row["region"] or regions.get(row["brin"]) or "?",
            }
            for dimension, category in categories.items():
                for brin in ("", row["brin"]):
                    key = (year, dimension, brin, category)
                    cell = cells[key]
                    cell["registrations"] += 1
                    cell["live"] += lives
                    cell["multiple"] += len(own) >= 2
                    cell["multiple_live"] += lives and len(live) >= 2
                    if dimension in {"TOTAL", "PROGRAMME"} and key not in seen:
                        cell["students"] += 1
                        seen.add(key)
                    if brin or dimension == "REGION":
                        cell["own_multiple"] += len(here) >= 2
                        cell["own_multiple_live"] += lives and sum(one in live for one in here) >= 2
        for brin in {row["brin"] for row in live}:
            several = sum(row["brin"] == brin for row in live) >= 2
            cell = cells[year, "LIVE_OF_STUDENT", brin, str(min(len(live), 4))]
            cell["students"] += 1
            cell["own_multiple_live"] += several
            for other in {row["brin"] for row in live} - {brin}:
                cells[year, "OVERLAP", brin, other]["students"] += 1
        if live:
            cells[year, "LIVE_OF_STUDENT", "", str(min(len(live), 4))]["students"] += 1
    return dict(cells)
