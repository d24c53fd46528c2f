"""What was live so many weeks before 1 October, and what became of it, found in plain Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from app.domain.history import Past
from app.domain.status_mix import Present

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIVE = {"RECEIVED", "OFFERED", "ENROLLED"}
ROWS = """
select r.student_id, r.brin, r.programme_code,
       array_agg(e.occurred_at order by e.id) as moments, array_agg(e.status::text order by e.id) as statuses
from registration r join status_event e on e.registration_id = r.id
where r.annulled_by is null and e.kind <> 'OUTDATED' and r.school_year = $1 group by r.id
"""


class Told(NamedTuple):
    """A registration, and what was heard of it in the order in which it was heard."""

    student: int
    brin: str
    programme_code: str
    moments: Sequence[datetime]
    statuses: Sequence[str]

    def by(self, moment: datetime) -> tuple[datetime, str]:
        """Return the last status from before a moment ('': none), and when it was taken."""
        for taken, status in zip(reversed(self.moments), reversed(self.statuses), strict=True):
            if taken < moment:
                return taken, status
        return moment, ""


class Laid(NamedTuple):
    """A live registration: its stratum, and whether it was an enrolment."""

    brin: str
    programme_code: str
    live_of_student: int
    status: str
    enrolled: bool
    enrolled_here: bool


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo("Europe/Amsterdam"))


def laid_out(registrations: Iterable[Told], school_year: int, weeks: int) -> list[Laid]:
    """Return the live registrations of a school year so many weeks before its 1 October."""
    counted = date(school_year, 10, 1)
    then, end = _end_of(counted - timedelta(weeks=weeks)), _end_of(counted)
    by_student = defaultdict(list)
    for one in registrations:
        by_student[one.student].append(one)
    found = []
    for own in by_student.values():
        live = [(one, status) for one in own if (status := one.by(then)[1]) in LIVE]
        outcomes = [(taken, one) for one in own for taken, status in [one.by(end)] if status == "ENROLLED"]
        enrolment = max(outcomes, key=lambda outcome: outcome[0])[1] if outcomes else None
        found += [
            Laid(
                one.brin,
                one.programme_code,
                min(4, len(live)),
                status,
                one is enrolment,
                one.by(end)[1] == "ENROLLED",
            )
            for one, status in live
        ]
    return found


def past(laid: Iterable[Laid]) -> list[Past]:
    """Return the outcomes by institution and stratum."""
    live: Counter[tuple[str, int, str]] = Counter()
    enrolled: Counter[tuple[str, int, str]] = Counter()
    here: Counter[tuple[str, int, str]] = Counter()
    for one in laid:
        key = one.brin, one.live_of_student, one.status
        live[key] += 1
        enrolled[key] += one.enrolled
        here[key] += one.enrolled_here
    return [Past(*key, count, enrolled[key], here[key]) for key, count in live.items()]


def present(laid: Iterable[Laid]) -> list[Present]:
    """Return the live registrations by institution, programme and status."""
    live = Counter((one.brin, one.programme_code, one.status) for one in laid)
    return [Present(*key, count) for key, count in live.items()]
