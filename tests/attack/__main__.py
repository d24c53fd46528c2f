"""Reports what the attack finds: under the rules, and with suppression below the threshold alone."""

from __future__ import annotations

from random import Random

from app.domain.expected import ByRule
from tests.attack.estimates import told_apart
from tests.attack.linear import Reader
from tests.attack.plays import THRESHOLD, a_country, naive, published, subtracted
from tests.factories.cells import year_of

_SIZES = ((5, 2, 2), (20, 3, 2), (20, 4, 5), (60, 2, 5), (60, 5, 3), (150, 3, 8), (400, 5, 8))
_ROUNDS = 4
_DAYS = 12


def main() -> None:
    """Attack and print."""
    print("Bounds (linear programs over all tables of a day, by each institution)")
    print("students institutions programmes  hidden figures  found  found with the threshold alone")
    for students, institutions, programmes in _SIZES:
        hidden = found = naively = 0
        for seed in range(_ROUNDS):
            year = year_of(a_country(Random(seed), students, institutions, programmes))
            tables = published(year)
            for brin in year.brins:
                reader = Reader(brin, year, tables, THRESHOLD)
                hidden += len(reader.natural)
                found += len(reader.findings())
                naively += len(Reader(brin, year, naive(tables), THRESHOLD).findings())
        print(f"{students:8} {institutions:12} {programmes:10}  {hidden:14}  {found:5}  {naively:5}")
    print(f"\nDifferences (pairs of days, {_DAYS} countries over {_DAYS} days)")
    for still, what in ((True, "under the rules"), (False, "figures of the day")):
        found = sum(1 for seed in range(_DAYS) for _ in subtracted(Random(seed), _DAYS, still=still))
        print(f"{what}: {found} differences that tell of fewer than {THRESHOLD}")
    print("\nEstimates (two applicants change places, in the sight of each institution)")
    for chances, what in ((ByRule(), "under the rules"), (None, "by each student's registrations")):
        pairs = [
            told_apart(Random(seed), a_country(Random(seed), 400, 5, 3), chances) for seed in range(_DAYS)
        ]
        print(f"{what}: {sum(found for _, found in pairs)} of {sum(tried for tried, _ in pairs)} told apart")


if __name__ == "__main__":
    main()
