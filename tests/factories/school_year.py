"""A school year of the country: students who apply here and there, and where it ends on 1 October.

Volumes and the walk of a registration are those of the real traffic (`app.simulation`); what a student does
with several registrations is a model: one of them becomes the enrolment, the others are withdrawn,
rejected, or stay as they are because nobody told the hub.
"""

from __future__ import annotations

import csv
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from app.simulation.facts import REGISTRATIONS_OF_A_STUDENT, Step
from app.simulation.journeys import journey

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg

_SHARED = Path(__file__).parents[3] / "shared" / "data" / "institutions.csv"
_PATHS = ("BOL", "BOL", "BOL", "BBL", "OVO")
_CHUNK = 20_000
_LEFT = {Step.WITHDRAWN: 0.55, Step.REJECTED: 0.05, Step.ENROLLED: 0.06}

_REGISTRATION = [
    "id",
    "public_id",
    "application_id",
    "student_id",
    "brin",
    "programme_code",
    "learning_path",
    "school_year",
    "programme_year",
    "status",
    "status_since",
    "status_source",
    "effective_at",
    "created_at",
    "last_confirmed_at",
    "region",
    "reported_by",
]
_EVENT = [
    "registration_id",
    "student_id",
    "organisation_id",
    "kind",
    "status",
    "previous_status",
    "learning_path",
    "source",
    "occurred_at",
    "recorded_at",
]
Statuses = list[tuple[datetime, str, str]]
What = tuple[str, str, str, int, str | None]


def institutions() -> list[tuple[str, str]]:
    """Return BRIN and region: the real ones where they are at hand, else as many invented ones."""
    if _SHARED.exists():
        with _SHARED.open(encoding="utf-8-sig", newline="") as file:
            return [(row["brin"], row["rmc_region"]) for row in csv.DictReader(file)]
    return [(f"{number:02d}ZZ", f"{1 + number % 40:02d}") for number in range(1, 56)]


class Country:
    """Draws students; the same seed draws the same ones.

    `enrols` is the share of students who enrol somewhere; what students of an institution do differs from it
    by `differing` (standard deviation, the same in every year and for every seed).
    """

    def __init__(
        self,
        school_year: int,
        seed: int = 1,
        programmes: int = 400,
        enrols: float = 0.8,
        differing: float = 0.0,
    ) -> None:
        self._random = Random(seed)
        self._school_year = school_year
        self._count_date = datetime(school_year, 10, 1, tzinfo=UTC)
        self._institutions = institutions()
        tastes = Random(0)
        self._enrols = [min(0.98, tastes.gauss(enrols, differing)) for _ in self._institutions]
        self._sizes = [self._random.paretovariate(1.2) for _ in self._institutions]
        self._offers = {
            brin: self._random.sample(range(programmes), min(programmes, 20 + int(30 * size)))
            for (brin, _), size in zip(self._institutions, self._sizes, strict=True)
        }

    def student(self) -> list[tuple[What, Statuses]]:
        """Return a student's registrations, each with the statuses that it had: when, which, from where."""
        draw = self._random
        weights = REGISTRATIONS_OF_A_STUDENT
        several = draw.choices(range(1, len(weights) + 1), weights)[0]
        home = draw.choices(range(len(self._institutions)), self._sizes)[0]
        chosen = draw.randrange(several) if draw.random() < self._enrols[home] else None
        region = self._institutions[home][1] if draw.random() < 0.8 else None
        found: list[tuple[What, Statuses]] = []
        for number in range(several):
            at = home if draw.random() < 0.7 else draw.choices(range(len(self._institutions)), self._sizes)[0]
            brin = self._institutions[at][0]
            offered = self._offers[brin]
            programme = f"{25000 + offered[int(len(offered) * draw.random() ** 2)]}"
            what: What = (brin, programme, draw.choice(_PATHS), 1 if draw.random() < 0.9 else 2, region)
            found.append((what, self._statuses(chosen=number == chosen)))
        return found

    def _statuses(self, *, chosen: bool) -> Statuses:
        draw = self._random
        applied = self._count_date - timedelta(days=draw.triangular(5, 365, 183))
        steps: list[Step] = [step for step in journey(draw) if step is not Step.SUBMITTED] or [Step.RECEIVED]
        if chosen:
            steps.append(Step.ENROLLED)
        else:
            left = draw.random()
            for step, share in _LEFT.items():
                left -= share
                if left < 0:
                    steps.append(step)
                    break
            else:
                steps = [step for step in steps if step is not Step.ENROLLED] or [Step.RECEIVED]
        room = (self._count_date - applied).total_seconds() * 0.98
        moments = sorted(draw.random() ** 1.5 * room for _ in steps[1:])
        source = "CAMBO" if draw.random() < 0.3 else "SIS"
        return [
            (applied + timedelta(seconds=seconds), step.value, source)
            for seconds, step in zip([0.0, *moments], steps, strict=True)
        ]


async def fill(
    connection: asyncpg.Connection[asyncpg.Record], country: Country, students: int, school_year: int
) -> int:
    """Write a school year as the hub would have after it; return how many changes it had."""
    last = await connection.fetchval("select coalesce(max(id), 0) from student")
    number = await connection.fetchval("select coalesce(max(id), 0) from registration")
    changes = 0
    for some in _chunks(last + 1, students):
        registrations: list[tuple[object, ...]] = []
        events: list[tuple[object, ...]] = []
        for student in some:
            for what, statuses in country.student():
                number += 1
                brin, programme, path, programme_year, region = what
                public = UUID(bytes=hashlib.sha256(f"r{number}".encode()).digest()[:16])
                since, status, source = statuses[-1]
                registrations.append((
                    number, public, f"N{number}", student, brin, programme, path, school_year, programme_year,
                    status, since, source, since, statuses[0][0], since, region, [1],
                ))  # fmt: skip
                before = None
                for at, now, whence in statuses:
                    events.append((number, student, 1, "STATUS", now, before, path, whence, at, at))
                    before = now
        pseudonyms = [(student, hashlib.sha256(f"s{student}".encode()).digest(), 1) for student in some]
        await connection.copy_records_to_table(
            "student", records=pseudonyms, columns=["id", "pseudonym", "key_version"]
        )
        await connection.copy_records_to_table("registration", records=registrations, columns=_REGISTRATION)
        await connection.copy_records_to_table("status_event", records=events, columns=_EVENT)
        changes += len(events)
    for table in ("student", "registration"):
        await connection.execute(
            f"select setval(pg_get_serial_sequence('{table}', 'id'), (select max(id) from {table}))"  # noqa: S608 - two constants
        )
    await connection.execute("analyze student, registration, status_event")
    return changes


async def put_institutions(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Put the institutions into the catalogue."""
    await connection.executemany(
        "insert into institution (brin, name, region) values ($1, $1, $2) on conflict do nothing",
        institutions(),
    )


def _chunks(first: int, count: int) -> Iterator[range]:
    for start in range(first, first + count, _CHUNK):
        yield range(start, min(start + _CHUNK, first + count))
