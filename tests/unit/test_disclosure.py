"""The published figures under attack, and the rules one by one."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.disclosure.measures import Share, Table
from app.domain.disclosure.moving import moved
from app.domain.disclosure.patterns import TOTAL, of_counts, of_live, of_multiple
from app.domain.disclosure.publishing import TableName
from tests.attack.linear import Reader
from tests.attack.plays import BRINS, THRESHOLD, a_country, naive, published, subtracted
from tests.factories.cells import CREATED, a_row, year_of

pytestmark = pytest.mark.slow

_ROWS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(BRINS[:3]),
        st.sampled_from(("25001", "25002", "25003")),
        st.sampled_from(("RECEIVED", "ENROLLED", "WITHDRAWN")),
        st.sampled_from(("BOL", "BBL")),
    ),
    min_size=1,
    max_size=40,
)


def findings(year, tables):
    """Return what each institution finds."""
    return [one for brin in year.brins for one in Reader(brin, year, tables, THRESHOLD).findings(at_most=25)]


def counted(**parts):
    """Return a table of registrations."""
    shares = {name: Share(count, count) for name, count in parts.items()}
    total = sum(parts.values())
    return Table(Share(total, total), shares)


class TestAnAttack:
    @pytest.mark.parametrize(("students", "institutions", "programmes"), [(5, 2, 2), (20, 4, 5), (60, 3, 3)])
    def test_finds_nothing_in_the_tables_of_a_day(self, students, institutions, programmes):
        year = year_of(a_country(Random(students), students, institutions, programmes))
        assert findings(year, published(year)) == []

    @settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(rows=_ROWS)
    def test_finds_nothing_in_small_and_lopsided_countries(self, rows):
        year = year_of(
            a_row(student, brin, programme_code=code, status=status, learning_path=path)
            for student, brin, code, status, path in rows
        )
        assert findings(year, published(year)) == []

    def test_finds_much_where_only_small_figures_are_hidden(self):
        year = year_of(a_country(Random(1), 60, 3, 5))
        assert findings(year, naive(published(year)))

    def test_finds_nothing_in_the_difference_of_two_days(self):
        for seed in range(2):
            assert list(subtracted(Random(seed), 6, still=True)) == []
        assert any(list(subtracted(Random(seed), 6, still=False)) for seed in range(2))


class TestAPattern:
    def test_hides_another_part_where_one_could_be_computed(self):
        pattern = of_counts(counted(a=3, b=8, c=30), THRESHOLD)
        assert pattern.hidden == {"a", "b"}
        assert pattern.labelled == {"a"}

    def test_names_nothing_where_even_the_names_would_tell(self):
        assert not of_counts(counted(a=1, b=1, c=1, d=1, e=1), THRESHOLD).listed

    def test_leaves_the_total_where_it_can(self):
        assert TOTAL not in of_counts(counted(a=2, b=2, c=2), THRESHOLD).hidden
        assert TOTAL in of_counts(counted(a=2, b=2), THRESHOLD).hidden

    @pytest.mark.parametrize(
        ("live", "shown"), [(12, True), (7, True), (8, False), (11, False), (4, False), (0, False)]
    )
    def test_shows_live_ones_where_the_others_are_none_or_enough(self, live, shown):
        table = Table(Share(12, live), {})
        assert (TOTAL not in of_live(table, of_counts(counted(a=12), THRESHOLD), THRESHOLD).hidden) == shown

    @pytest.mark.parametrize(
        ("multiple", "own", "shown"),
        [(6, 0, True), (7, 2, True), (6, 2, False), (12, 0, False), (8, 0, False), (0, 0, False)],
    )
    def test_counts_only_what_the_institution_does_not_know(self, multiple, own, shown):
        assert (TOTAL not in of_multiple(Table(Share(12, multiple, own), {}), THRESHOLD).hidden) == shown

    @pytest.mark.parametrize(
        ("multiple", "elsewhere", "shown"),
        [(5, 1, False), (6, 1, True), (7, 1, False), (5, 0, True), (7, 0, True), (5, 2, True)],
    )
    def test_hides_a_total_that_is_all_but_one_part(self, multiple, elsewhere, shown):
        # Who sees it knows the large part but for the one or none that is in the small one.
        parts = {"a": Share(12 - elsewhere, multiple - elsewhere), "b": Share(elsewhere, elsewhere)}
        pattern = of_multiple(Table(Share(12, multiple), parts), THRESHOLD)
        assert (TOTAL not in pattern.hidden) == shown

    def test_leaves_no_institution_a_small_rest(self):
        institutions = {"00AA": {TOTAL: Share(20, 20)}, "00BB": {TOTAL: Share(3, 3)}}
        assert TOTAL in of_counts(Table(Share(23, 23), {}, institutions), THRESHOLD).hidden
        alone = {"00AA": {TOTAL: Share(20, 20)}}
        assert TOTAL not in of_counts(Table(Share(20, 20), {}, alone), THRESHOLD).hidden


class TestABlock:
    def test_stands_still_until_enough_has_changed(self):
        before = moved(None, Table(Share(30, 12), {}), CREATED, THRESHOLD)
        assert moved(before, Table(Share(31, 13), {}), CREATED, THRESHOLD) is before
        assert moved(before, Table(Share(36, 18), {}), CREATED, THRESHOLD) is before, "all that came are"
        later = moved(before, Table(Share(41, 18), {}), CREATED, THRESHOLD)
        assert later.total == Share(41, 18)


class TestTheTables:
    def test_show_an_institution_alone_with_all_its_live_ones(self):
        year = year_of(a_row(student, BRINS[0]) for student in range(12))
        tables = {(table.name, table.of): table for table in published(year)}
        for of in ("", BRINS[0]):
            counts = tables[TableName.PROGRAMME, of].counts
            assert counts is not None
            row = counts.rows[TOTAL]
            assert (row["registrations"], row["live"]) == ((12, "12"), (12, "12"))
        block = tables[TableName.MULTIPLE, BRINS[0]].block
        assert block is not None
        assert not block.shows_total
