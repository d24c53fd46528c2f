"""The cube: a fixed set of tables, so that what can be asked is known beforehand.

Each table splits the registrations of an institution (or of the country) in one school year by one dimension.
Its cells hold true counts, which never leave the hub as they are: see `app.domain.disclosure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

UNKNOWN_REGION = "?"
MOST_LIVE = 4  # "4 and more" live registrations of one student


class Dimension(StrEnum):
    """What a table is split by. The last three count students, the others registrations."""

    TOTAL = "TOTAL"
    PROGRAMME = "PROGRAMME"
    LEARNING_PATH = "LEARNING_PATH"
    PROGRAMME_YEAR = "PROGRAMME_YEAR"
    WEEK = "WEEK"
    STATUS = "STATUS"
    REGION = "REGION"
    LIVE_OF_STUDENT = "LIVE_OF_STUDENT"
    OVERLAP = "OVERLAP"
    COVERAGE = "COVERAGE"


@dataclass(frozen=True, slots=True)
class Cell:
    """The true figures of one cell. `brin` '' is national, `category` '' the total.

    `own_multiple` and `own_multiple_live`: of `multiple` and `multiple_live`, what the institution knows by
    itself, because the student has several registrations with it.
    """

    brin: str
    category: str
    registrations: int = 0
    live: int = 0
    multiple: int = 0
    multiple_live: int = 0
    students: int = 0
    own_multiple: int = 0
    own_multiple_live: int = 0
