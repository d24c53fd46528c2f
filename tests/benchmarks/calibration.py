"""How good expected enrolments are on a school year that they were not made from.

    python -m tests.benchmarks.calibration [STUDENTS]

Simulates four school years of so many students (60,000 by default) in which institutions and years differ,
learns from three, and judges the fourth. Writes the reliability plot to docs/expected-enrolments.svg.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from app.domain.expected import ByRule, Estimates, Shown, several_of
from app.domain.history import History, years_told
from app.domain.status_mix import ALL, StatusMixes
from tests.factories.live_hub import PROJECT
from tests.factories.outcomes import Laid, Told, laid_out, past, present
from tests.factories.school_year import Country

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.domain.expected import Chances

YEARS = (2022, 2023, 2024, 2025)
WEEKS = (40, 26, 13, 4)
_THRESHOLD = 5
# How many students enrol somewhere, by year; what institutions differ by.
_ENROLS = (0.79, 0.82, 0.80, 0.81)
_DIFFERING = 0.04
_LEFT, _TOP, _SIDE = 40, 30, 320
_COLOURS = ("#0b5394", "#38761d", "#b45f06", "#741b47")
_BARE = str.maketrans("", "", "[]()")


@dataclass(frozen=True, slots=True)
class Held:
    """Which part of outcomes lay within the intervals, within their inner half, and the mean error."""

    within: float
    within_half: float
    error: float


@dataclass(frozen=True, slots=True)
class Judged:
    """How estimates did: mean squared errors of chances, and intervals."""

    brier: float
    brier_of_rule: float
    brier_of_rate: float
    institutions: Held
    programmes: Held
    bins: Sequence[tuple[float, float, int]]  # mean chance, share enrolled, registrations: by tenth


def a_season(school_year: int, students: int, enrols: float) -> list[Told]:
    """Return the registrations of a simulated school year."""
    country = Country(school_year, seed=school_year, enrols=enrols, differing=_DIFFERING)
    return [
        Told(student, what[0], what[1], [at for at, _, _ in statuses], [status for _, status, _ in statuses])
        for student in range(students)
        for what, statuses in country.student()
    ]


def judged(earlier: Sequence[Sequence[Laid]], held_out: Sequence[Laid]) -> Judged:
    """Learn from earlier years, newest first, and judge the one that was held out."""
    history = History(years_told(past(year) for year in earlier), _THRESHOLD)
    seen = [one for year in earlier for one in year]
    rate = sum(one.enrolled for one in seen) / len(seen)
    told = _chances(history, held_out)
    tenths: dict[int, list[float]] = {}
    for chance, one in zip(told, held_out, strict=True):
        tenth = tenths.setdefault(min(9, int(chance * 10)), [0.0, 0.0, 0.0])
        for position, added in enumerate((chance, one.enrolled, 1)):
            tenth[position] += added
    return Judged(
        _brier(told, held_out),
        _brier(_chances(ByRule(), held_out), held_out),
        _brier([rate] * len(held_out), held_out),
        *_held(Estimates(StatusMixes(present(held_out), _THRESHOLD), history), held_out),
        [(sums / count, true / count, int(count)) for _, (sums, true, count) in sorted(tenths.items())],
    )


def _brier(chances: Sequence[float], laid: Sequence[Laid]) -> float:
    return sum((chance - one.enrolled) ** 2 for chance, one in zip(chances, laid, strict=True)) / len(laid)


def _each(laid: Sequence[Laid]) -> float:
    several = [one.live_of_student for one in laid if one.live_of_student > 1]
    return sum(1 / number for number in several) / len(several)


def _chances(chances: Chances, laid: Sequence[Laid]) -> list[float]:
    """Return what each registration adds to the estimate of its institution: one chance for each status."""
    mixes: dict[str, Counter[str]] = defaultdict(Counter)
    several: Counter[str] = Counter()
    for one in laid:
        mixes[one.brin][one.status] += 1
        several[one.brin] += one.live_of_student > 1
    told = {}
    for brin, counted in mixes.items():
        mix = {status: float(count) for status, count in counted.items()}
        parts = several_of(mix, several[brin], {status: chances.usually_several(status) for status in mix})
        for status, (alone, beside) in chances.of(brin, mix, parts, _each(laid)).items():
            told[brin, status] = (1 - parts[status]) * alone.mean + parts[status] * beside.mean
    return [told[one.brin, one.status] for one in laid]


def _held(estimates: Estimates, laid: Sequence[Laid]) -> tuple[Held, Held]:
    """Return how intervals did, of institutions and of their programmes, where counts may be shown."""
    live: Counter[tuple[str, str]] = Counter()
    several: Counter[tuple[str, str]] = Counter()
    enrolled: Counter[tuple[str, str]] = Counter()
    for one in laid:
        for key in ((one.brin, one.programme_code), (one.brin, ALL)):
            live[key] += 1
            several[key] += one.live_of_student > 1
            enrolled[key] += one.enrolled
    found: dict[bool, list[tuple[bool, bool, float]]] = {True: [], False: []}
    for brin in {brin for brin, _ in live}:
        shown = {
            category: Shown(count, several[of, category])
            for (of, category), count in live.items()
            if of == brin and min(several[of, category], count - several[of, category]) >= _THRESHOLD
        }
        for category, (value, low, high, _) in estimates(brin, shown, _each(laid)).items():
            true = enrolled[brin, category]
            middle, half = (low + high) / 2, (high - low) / 4
            found[category == ALL].append(
                (low <= true <= high, abs(true - middle) <= half, (value - true) / live[brin, category])
            )
    return tuple(  # type: ignore[return-value] # two of them
        Held(*(sum(one[which] for one in cells) / max(len(cells), 1) for which in range(3)))
        for cells in (found[True], found[False])
    )


def _plot(by_weeks: dict[int, Judged]) -> str:
    """Return the reliability plot: the chance told, and the share that came true, by tenth of chances."""
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox="0 0 520 400")
    root.set("font-family", "sans-serif")
    root.set("font-size", "12")

    def draw(name: str, text: str = "", **attributes: object) -> None:
        one = SubElement(root, name, {key.replace("_", "-"): str(value) for key, value in attributes.items()})
        one.text = text or None

    def at(told: float, true: float) -> tuple[float, float]:
        return round(_LEFT + told * _SIDE, 1), round(_TOP + (1 - true) * _SIDE, 1)

    draw("title", "Share enrolled on 1 October by the chance that was told")
    draw("rect", x=_LEFT, y=_TOP, width=_SIDE, height=_SIDE, fill="none", stroke="#888")
    draw("polyline", points=f"{at(0, 0)} {at(1, 1)}".translate(_BARE), stroke="#888", stroke_dasharray=4)
    for row, ((weeks, one), colour) in enumerate(zip(by_weeks.items(), _COLOURS, strict=True)):
        points = [at(told, true) for told, true, _ in one.bins]
        draw("polyline", points=f"{points}".translate(_BARE), fill="none", stroke=colour)
        for x, y in points:
            draw("circle", cx=x, cy=y, r=3, fill=colour)
        draw("text", f"{weeks} weeks before", x=_LEFT + _SIDE + 12, y=_TOP + 16 + 18 * row, fill=colour)
    for tick in (0, 0.5, 1):
        x, y = at(tick, tick)
        draw("text", str(tick), x=x, y=_TOP + _SIDE + 16, text_anchor="middle")
        draw("text", str(tick), x=_LEFT - 6, y=y + 4, text_anchor="end")
    draw("text", "chance told", x=_LEFT + _SIDE / 2, y=_TOP + _SIDE + 34, text_anchor="middle")
    draw("text", "share enrolled on 1 October", x=_LEFT, y=_TOP - 10)
    indent(root)
    return tostring(root, "unicode") + "\n"


def main() -> None:
    """Print a table, and draw."""
    students = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    seasons = [a_season(year, students, enrols) for year, enrols in zip(YEARS, _ENROLS, strict=True)]
    found = {}
    print(
        "| weeks to 1 October | Brier: history | rule | one rate"
        " | institutions: within | inner half | error | programmes: within | inner half | error |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for weeks in WEEKS:
        laid = [laid_out(season, year, weeks) for season, year in zip(seasons, YEARS, strict=True)]
        one = found[weeks] = judged(laid[-2::-1], laid[-1])
        print(
            f"| {weeks} | {one.brier:.4f} | {one.brier_of_rule:.4f} | {one.brier_of_rate:.4f}"
            + "".join(
                f" | {held.within:.1%} | {held.within_half:.1%} | {held.error:+.1%}"
                for held in (one.institutions, one.programmes)
            )
            + " |"
        )
        print(
            "  " + "  ".join(f"{told:.2f}:{true:.2f} ({count})" for told, true, count in one.bins),
            file=sys.stderr,
        )
    (PROJECT / "docs" / "expected-enrolments.svg").write_text(_plot(found), "utf-8")


if __name__ == "__main__":
    main()
