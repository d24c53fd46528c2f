"""Chances from history against exact distributions, and on a school year that they were not made from."""

from datetime import date
from math import comb, exp, lgamma

import pytest

from app.domain.beta_binomial import correlation, interval
from app.domain.expected import Estimates, Shown
from app.domain.history import History, Past, weeks_before, years_told
from app.domain.status_mix import Present, StatusMixes
from tests.benchmarks.calibration import a_season, judged
from tests.factories.outcomes import laid_out

_THRESHOLD = 5
_COUNTRY = [Past(f"{number:02d}AA", 1, "OFFERED", 100, 60, 60) for number in range(10)]


def beta_binomial(size, mean, spread):
    """Return the exact masses of a Beta-Binomial with mean and correlation."""
    a, b = mean * (1 / spread - 1), (1 - mean) * (1 / spread - 1)

    def log_beta(x, y):
        return lgamma(x) + lgamma(y) - lgamma(x + y)

    return [comb(size, k) * exp(log_beta(k + a, size - k + b) - log_beta(a, b)) for k in range(size + 1)]


class TestAnInterval:
    @pytest.mark.parametrize(("size", "mean", "spread"), [(10, 0.3, 0.2), (80, 0.9, 0.01), (400, 0.5, 0.003)])
    def test_leaves_out_no_more_than_a_fortieth_on_either_side(self, size, mean, spread):
        masses = beta_binomial(size, mean, spread)
        low, high = interval(size, size * mean, size * mean * (1 - mean) * (1 + (size - 1) * spread))
        assert sum(masses[: int(low)]) < 0.025 <= sum(masses[: int(low) + 1])
        assert sum(masses[int(high) + 1 :]) < 0.025 <= sum(masses[int(high) :])

    def test_is_binomial_where_nothing_more_varies(self):
        low, high = interval(100, 50.0, 25.0)
        assert (low, high) == (40.0, 60.0)

    def test_of_large_sums_is_about_two_deviations(self):
        low, high = interval(10_000, 5_000.0, 10_000.0)
        assert (round(low), round(high)) == (4804, 5196)

    @pytest.mark.parametrize(("size", "mean"), [(0, 0.0), (7, 0.0), (7, 7.0)])
    def test_of_what_is_certain_is_a_point(self, size, mean):
        assert interval(size, mean, 0.0) == (mean, mean)


class TestCorrelation:
    def test_is_found_where_groups_differ(self):
        alike = [(100, 50, 0.5)] * 20
        apart = [(100, 30, 0.5), (100, 70, 0.5)] * 10
        assert correlation(alike, 0.0, 1.0) == 0.0
        assert correlation(apart, 0.0, 1.0) == pytest.approx((400 / 25 - 1) / 99 * 1.0, rel=0.01)


class TestWeeks:
    @pytest.mark.parametrize(
        ("day", "weeks"),
        [((2026, 10, 1), 0), ((2026, 11, 5), 0), ((2026, 9, 30), 1), ((2026, 9, 24), 1), ((2025, 9, 1), 52)],
    )
    def test_are_counted_to_the_first_of_october(self, day, weeks):
        assert weeks_before(2026, date(*day)) == weeks


def of(history, brin, status="OFFERED", several=0.0):
    """Return the chance of a student's only registration and of one of several."""
    return history.of(brin, {status: 1.0}, {status: several}, 0.5)[status]


class TestAChance:
    def test_is_the_countrys_where_the_institution_has_no_past(self):
        assert of(History([_COUNTRY], _THRESHOLD), "99ZZ")[0].mean == pytest.approx(0.6, abs=0.001)

    def test_of_an_institution_is_shrunk_to_the_countrys(self):
        history = History([[*_COUNTRY, Past("99ZZ", 1, "OFFERED", 100, 90, 90)]], _THRESHOLD)
        others = of(history, "00AA")[0].mean
        assert others < of(history, "99ZZ")[0].mean < 0.9

    def test_of_an_institution_follows_what_it_knows_itself(self):
        def told(alone, beside, here):
            own = [
                Past("99ZZ", 1, "OFFERED", alone, alone // 2, here),
                Past("99ZZ", 2, "OFFERED", beside, beside // 2, 0),
            ]
            country = [*_COUNTRY, *(one._replace(live_of_student=2) for one in _COUNTRY)]
            return of(History([[*country, *own]], _THRESHOLD), "99ZZ")[0].mean

        assert told(100, 40, 90) == pytest.approx(told(60, 80, 90), abs=0.02), "not who applied elsewhere"
        assert told(100, 40, 120) > told(100, 40, 90) + 0.02

    def test_of_a_rare_stratum_is_that_of_its_status(self):
        history = History([[*_COUNTRY, Past("00AA", 4, "OFFERED", 9, 0, 0)]], _THRESHOLD)
        assert of(history, "99ZZ")[1].mean == pytest.approx(0.59, abs=0.01)

    def test_is_less_certain_where_years_differ(self):
        alike, other = (
            History([_COUNTRY, _COUNTRY], _THRESHOLD),
            [one._replace(enrolled=30) for one in _COUNTRY],
        )
        apart = History([_COUNTRY, other], _THRESHOLD)
        assert of(apart, "99ZZ")[0].of_year > 5 * of(alike, "99ZZ")[0].of_year

    def test_comes_from_years_that_tell_enough(self):
        assert years_told([[], _COUNTRY, [Past("00AA", 1, "OFFERED", 99, 9, 9)], _COUNTRY]) == [
            _COUNTRY,
            _COUNTRY,
        ]


class TestExpectedEnrolments:
    def test_are_about_those_of_the_parts(self):
        present = [
            Present("00AA", "25001", "OFFERED", 40),
            Present("00AA", "25002", "OFFERED", 10),
            Present("01AA", "25001", "OFFERED", 50),
        ]
        estimate = Estimates(StatusMixes(present, _THRESHOLD), History([_COUNTRY], _THRESHOLD))
        cells = {"": Shown(100, 10), "25001": Shown(90, 5), "25002": Shown(10, 5)}
        found = estimate("", cells, 0.5)
        assert found[""][0] == pytest.approx(60, abs=0.1)
        assert found["25001"][0] + found["25002"][0] == pytest.approx(found[""][0])
        value, low, high, years = estimate("00AA", {"25001": Shown(40, 20)}, 0.5)["25001"]
        assert 0 <= low < value < high <= 40
        assert years == 1

    def test_of_nothing_are_none(self):
        estimate = Estimates(StatusMixes([], _THRESHOLD), History([_COUNTRY], _THRESHOLD))
        assert estimate("00AA", {"": Shown(0, 0)}, 0.5) == {"": (0, 0, 0, 1)}


class TestCalibration:
    def test_on_a_year_that_was_held_out(self):
        seasons = [
            (year, a_season(year, 6_000, share)) for year, share in ((2023, 0.8), (2024, 0.82), (2025, 0.79))
        ]
        (*earlier, held_out) = [laid_out(season, year, 13) for year, season in seasons]
        found = judged(earlier[::-1], held_out)
        assert found.brier < min(found.brier_of_rule, found.brier_of_rate)
        assert all(abs(told - true) < 0.1 for told, true, count in found.bins if count >= 200)
        for held in (found.institutions, found.programmes):
            assert held.within > 0.9
            assert held.within_half < 0.95, "wider than they need be"
            assert abs(held.error) < 0.05
