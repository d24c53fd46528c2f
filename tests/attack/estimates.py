"""Estimates: does one tell an institution which of its applicants applied elsewhere?

Two applicants of an institution, for one programme, change places: what the one has elsewhere is the other's
now. Whatever the institution knows and every count that it may read is the same before and after; so must
every estimate be, or it would tell the one from the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from app.domain.disclosure.patterns import TOTAL
from app.domain.disclosure.publishing import TableName
from app.domain.expected import STATUS_WEIGHT, Estimates
from app.domain.status_mix import Present, StatusMixes
from tests.attack.plays import THRESHOLD, published
from tests.factories.cells import year_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from random import Random

    from app.domain.disclosure.publishing import Estimating, Published
    from app.domain.expected import Chances, Shown

Rows = list[dict[str, Any]]
Figures = dict[tuple[str, str], tuple[float, ...]]


def estimates_of(rows: Rows, chances: Chances) -> Estimates:
    """Return the hub's way to estimate these registrations."""
    live: Counter[tuple[str, str, str]] = Counter(
        (row["brin"], row["programme_code"], row["status"]) for row in rows if row["status"] in STATUS_WEIGHT
    )
    return Estimates(StatusMixes((Present(*key, count) for key, count in live.items()), THRESHOLD), chances)


def by_student(rows: Rows) -> Estimating:
    """Return what would be the best: each student's one chance, shared over what that student really has."""
    of_student: Counter[int] = Counter()
    for row in rows:
        of_student[row["student_id"]] += STATUS_WEIGHT.get(row["status"], 0)
    expected: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for row in rows:
        if weight := STATUS_WEIGHT.get(row["status"], 0):
            for brin in ("", row["brin"]):
                for category in (TOTAL, row["programme_code"]):
                    expected[brin, category] += Fraction(weight, of_student[row["student_id"]])

    def estimate(brin: str, shown: Mapping[str, Shown], each: float) -> dict[str, tuple[float, ...]]:
        return {category: (float(expected[brin, category]),) for category in shown}

    return estimate


def changed_places(draw: Random, rows: Rows, brin: str) -> Iterator[Rows]:
    """Yield the country with two applicants changed, for a few pairs that the institution might ask about."""
    of_student: dict[int, Rows] = defaultdict(list)
    for row in rows:
        of_student[row["student_id"]].append(row)
    here = [
        (own[0], elsewhere)
        for all_ in of_student.values()
        for own, elsewhere in [_parted(all_, brin)]
        if len(own) == 1 and own[0]["status"] in STATUS_WEIGHT
    ]
    pairs = [
        (one["student_id"], other["student_id"])
        for one, elsewhere in here
        for other, nothing in here
        if elsewhere
        and not nothing
        and all(row["status"] in STATUS_WEIGHT for row in elsewhere)
        and one["programme_code"] == other["programme_code"]
        and one["region"] == other["region"]
        and one["status"] != other["status"]
    ]
    for one, other in draw.sample(pairs, min(3, len(pairs))):
        yield [
            row | {"student_id": other} if row["student_id"] == one and row["brin"] != brin else row
            for row in rows
        ]


def _parted(rows: Sequence[dict[str, Any]], brin: str) -> tuple[Rows, Rows]:
    return [row for row in rows if row["brin"] == brin], [row for row in rows if row["brin"] != brin]


def shown(tables: Sequence[Published], brin: str) -> Figures:
    """Return the estimates that an institution reads, as they are shown: to a tenth."""
    return {
        (table.of, category): tuple(round(value, 1) for value in values)
        for table in tables
        if table.name is TableName.MULTIPLE_LIVE and table.of in {"", brin} and table.block is not None
        for category, values in table.block.beside.items()
        if category in table.block.shown or (category == TOTAL and table.block.shows_total)
    }


def told_apart(draw: Random, rows: Rows, chances: Chances | None) -> tuple[int, int]:
    """Return how many pairs of applicants were tried, and how many an estimate tells apart.

    `chances` None: what is best, and not what the hub does.
    """
    tried = found = 0
    year = year_of(rows)

    def read(of: Rows, brin: str) -> Figures:
        estimate = by_student(of) if chances is None else estimates_of(of, chances)
        return shown(published(year_of(of), estimate=estimate), brin)

    for brin in year.brins:
        before = read(rows, brin)
        for after in changed_places(draw, rows, brin):
            tried += 1
            found += read(after, brin) != before
    return tried, found
