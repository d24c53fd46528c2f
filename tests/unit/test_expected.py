"""Expected enrolments: made from what may be known, and telling nothing else."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.beta_binomial import interval
from app.domain.disclosure.publishing import TableName
from app.domain.expected import ByRule, Estimates, Shown, several_of
from app.domain.history import History, Past
from app.domain.status_mix import Present, StatusMixes
from tests.attack.estimates import estimates_of, shown, told_apart
from tests.attack.plays import a_country, in_force, published
from tests.factories.cells import year_of

_THRESHOLD = 5
_STATUSES = ("RECEIVED", "OFFERED", "ENROLLED")


def a_history(seed=1):
    """Return chances in which everything differs from everything else."""
    draw = Random(seed)
    pasts = [
        Past(brin, several, status, live, enrolled, enrolled)
        for brin in ("00AA", "00BB", "00CC", "00DD", "00EE")
        for several in (1, 2, 3)
        for status in _STATUSES
        for live in [draw.randrange(20, 200)]
        for enrolled in [draw.randrange(6, live - 6)]
    ]
    return History([pasts, pasts[::2]], _THRESHOLD)


class TestWhatAnEstimateTells:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("chances", [ByRule(), a_history()], ids=["rule", "history"])
    def test_is_not_which_applicant_applied_elsewhere(self, seed, chances):
        tried, found = told_apart(Random(seed), a_country(Random(seed), 250, 4, 2), chances)
        assert tried
        assert found == 0

    def test_would_be_that_if_it_were_made_from_each_students_registrations(self):
        tried, found = told_apart(Random(1), a_country(Random(1), 250, 4, 2), None)
        assert found > tried / 2

    def test_needs_a_cell_that_is_shown(self):
        estimate = Estimates(StatusMixes([Present("00AA", "25001", "OFFERED", 40)], _THRESHOLD), ByRule())
        assert estimate("00AA", {"25001": Shown(40, 20)}, 0.5).keys() == {"25001"}
        assert estimate("00AA", {}, 0.5) == {}


class TestSeveral:
    @given(
        st.dictionaries(st.sampled_from(_STATUSES), st.integers(1, 5000), min_size=1),
        st.floats(0, 1),
        st.dictionaries(st.sampled_from(_STATUSES), st.floats(0, 1), min_size=3),
    )
    def test_are_as_many_as_there_are(self, mix, share, usually):
        several = round(share * sum(mix.values()))
        found = several_of(mix, several, {status: usually[status] for status in mix})
        assert sum(mix[status] * part for status, part in found.items()) == pytest.approx(several, abs=0.01)
        assert all(0 <= part <= 1 for part in found.values())

    def test_are_where_they_usually_are(self):
        found = several_of({"RECEIVED": 50.0, "ENROLLED": 50.0}, 50, {"RECEIVED": 0.8, "ENROLLED": 0.2})
        assert found["RECEIVED"] == pytest.approx(0.8)


class TestTheRule:
    @pytest.mark.parametrize("number", [2, 3, 4])
    def test_counts_every_student_once(self, number):
        mixes = StatusMixes(
            [Present(f"{k:02d}AA", "25001", "OFFERED", 60) for k in range(number)], _THRESHOLD
        )
        estimate = Estimates(mixes, ByRule())
        (value, low, high, years) = estimate("", {"": Shown(60 * number, 30 * number)}, 1 / number)[""]
        assert value == pytest.approx(30 * number + 30)
        assert low < value < high
        assert years == 0

    def test_gives_more_to_who_is_further(self):
        def of(*mix):
            present = [Present("00AA", "25001", status, live) for status, live in mix]
            mixes = StatusMixes([*present, Present("00AA", "25002", "RECEIVED", 500)], _THRESHOLD)
            return Estimates(mixes, ByRule())("00AA", {"25001": Shown(40, 40)}, 0.5)["25001"][0]

        assert of(("RECEIVED", 40)) == of(("ENROLLED", 40)) == 20, "what it is shared with is as far"
        assert of(("RECEIVED", 20), ("ENROLLED", 20)) == pytest.approx(20 * (1 / 3.5 + 4 / 6.5))


class TestAMixOfTheCountry:
    def mixes(self, few, *, elsewhere=30):
        return StatusMixes(
            [
                Present("00AA", "25001", "OFFERED", 30),
                Present("00AA", "25001", "ENROLLED", 40),
                Present("00BB", "25001", "OFFERED", 30),
                Present("00BB", "25001", "ENROLLED", few),
                Present("00CC", "25002", "OFFERED", 50),
                Present("00DD", "25002", "ENROLLED", elsewhere),
            ],
            _THRESHOLD,
        )

    def test_is_its_own_where_others_are_enough_or_none(self):
        for few in (0, 5, 60):
            assert self.mixes(few).of("", "25001", 100 + few) == {"OFFERED": 60.0, "ENROLLED": 40.0 + few}

    @pytest.mark.parametrize("few", [1, 4])
    def test_is_that_of_all_programmes_where_an_institution_would_find_few_others(self, few):
        found = self.mixes(few).of("", "25001", 100 + few)
        everybody = 110 + 40 + few + 30
        assert found["OFFERED"] == pytest.approx((100 + few) * 110 / everybody)

    def test_is_none_where_that_would_tell_too(self):
        assert self.mixes(1, elsewhere=1).of("", "25001", 101) == {"RECEIVED": 101.0}

    def test_is_no_secret_to_the_only_institution(self):
        mixes = StatusMixes([Present("00AA", "25001", "OFFERED", 1)], _THRESHOLD)
        assert mixes.of("", "25001", 1) == {"OFFERED": 1.0}


class TestAnInterval:
    @pytest.mark.parametrize(
        "chances", [[0.95] * 40 + [0.05] * 40, [0.99] * 50 + [0.5] * 50, [0.7] * 30, [0.02] * 200 + [0.6] * 9]
    )
    def test_is_that_of_the_sum_of_its_chances(self, chances):
        masses = np.ones(1)
        for chance in chances:
            masses = np.convolve(masses, [1 - chance, chance])
        low, high = interval(len(chances), sum(chances), sum(p * (1 - p) for p in chances))
        below, above = np.cumsum(masses), np.cumsum(masses[::-1])[::-1]
        exact_low = int(np.argmax(below >= 0.025))
        exact_high = int(len(masses) - 1 - np.argmax(above[::-1] >= 0.025))
        assert abs(low - exact_low) <= 1
        assert abs(high - exact_high) <= 1


class TestTheCountry:
    def test_has_the_chances_of_no_institution(self):
        history = a_history()
        mix = dict.fromkeys(_STATUSES, 1.0)
        of_country = history.of("", mix, {}, 0.5)
        of_institution = history.of("00AA", mix, {}, 0.5)
        assert of_country == history.of("99ZZ", mix, {}, 0.5)
        assert all(one != of_country[status] for status, one in of_institution.items())

    def test_counts_no_outcomes_of_few_but_one_institutions(self):
        many = [Past(f"{k:02d}AA", 1, "OFFERED", 50, 30, 30) for k in range(4)]
        most = Past("50AA", 2, "OFFERED", 500, 100, 100)
        few = [Past("51AA", 2, "OFFERED", 20, 4, 4), Past("51AA", 2, "OFFERED", 20, 5, 5)]
        told, untold = (
            History([[*many, most, one]], _THRESHOLD).of("", {"OFFERED": 1.0}, {}, 0.5)["OFFERED"][1].mean
            for one in reversed(few)
        )
        assert told == pytest.approx(0.2, abs=0.05)
        assert untold > 0.3, "that of the status"


class TestFiguresThatStandStill:
    def test_get_the_estimates_that_they_lack(self):
        rows = a_country(Random(1), 250, 4, 2)
        year = year_of(rows)
        first = published(year, estimate=estimates_of(rows, ByRule()))
        bare = [
            table if table.block is None else replace(table, block=replace(table.block, beside={}))
            for table in first
        ]
        again = published(year, in_force(bare), day=1, estimate=estimates_of(rows, ByRule()))
        assert shown(again, "00AA") == shown(first, "00AA") != {}
        assert {table.as_of for table in again if table.name is TableName.MULTIPLE_LIVE} == {first[0].as_of}
