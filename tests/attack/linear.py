"""A linear program over everything that one reader sees: how far can each hidden figure still lie?

The reader is an institution. It knows its own registrations, the rules, and all tables that it may read:
its own and the national ones. It does not know how many of its applicants applied elsewhere, nor others'
figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix

from app.domain.cube import Cell, Dimension
from app.domain.disclosure.patterns import TOTAL
from app.domain.disclosure.publishing import TableName
from app.domain.disclosure.suppression import doubt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from app.domain.disclosure.publishing import Published
    from app.domain.disclosure.year import YearOfCells

_BY_CATEGORY = (
    TableName.PROGRAMME,
    TableName.LEARNING_PATH,
    TableName.PROGRAMME_YEAR,
    TableName.WEEK,
    TableName.STATUS,
    TableName.REGION,
    TableName.INSTITUTION,
)
_MULTIPLES = {TableName.MULTIPLE: "registrations", TableName.MULTIPLE_LIVE: "live"}
_NOTHING = Cell("", "")
Name = tuple[str, ...]


@dataclass
class Knowledge:
    """Unknown whole numbers with bounds, and sums that are known."""

    low: dict[Name, float] = field(default_factory=dict)
    high: dict[Name, float] = field(default_factory=dict)
    sums: list[tuple[dict[Name, float], float, float]] = field(default_factory=list)

    def about(self, name: Name, low: float, high: float) -> None:
        """Know the bounds of a number; several together count."""
        self.low[name] = max(low, self.low.get(name, low))
        self.high[name] = min(high, self.high.get(name, high))

    def sum(self, terms: dict[Name, float], low: float, high: float) -> None:
        """Know the bounds of a sum."""
        self.sums.append((terms, low, high))

    def ranges(self, wanted: Iterable[Name]) -> dict[Name, tuple[float, float]]:
        """Return the least and the most that each number can be."""
        index = {name: number for number, name in enumerate(self.low)}
        entries = [
            (factor, row, index[name])
            for row, (terms, _, _) in enumerate(self.sums)
            for name, factor in terms.items()
        ]
        values, rows, columns = zip(*entries, strict=True)
        matrix = coo_matrix((values, (rows, columns)), shape=(len(self.sums), len(index))).tocsc()
        sums = LinearConstraint(matrix, [low for _, low, _ in self.sums], [high for _, _, high in self.sums])
        bounds = Bounds([self.low[name] for name in index], [self.high[name] for name in index])
        found = {}
        for name in wanted:
            ends = []
            for sign in (1.0, -1.0):
                costs = np.zeros(len(index))
                costs[index[name]] = sign
                solved = milp(costs, constraints=sums, bounds=bounds)
                assert solved.status == 0, (name, solved.message)
                ends.append(sign * solved.fun)
            found[name] = ends[0], ends[1]
        return found


def hash_of(text: str) -> int:
    """Return a number that is the same in every run."""
    return crc32(text.encode())


class Reader:
    """One institution before the tables; `knowledge` grows, `natural` says how wide each range could be.

    `fit`: between which values a hidden figure of its own applicants could be shown if it stood alone.
    """

    def __init__(self, brin: str, year: YearOfCells, tables: Iterable[Published], threshold: int) -> None:
        self.knowledge = Knowledge()
        self.natural: dict[Name, float] = {}
        self.fit: dict[Name, tuple[float, float]] = {}
        self._brin = brin
        self._year = year
        self._tables = {(table.name, table.of): table for table in tables}
        self._threshold = threshold
        self._everything = 10.0 * max(year.total("").registrations, 1)
        for name in _BY_CATEGORY:
            for measure in ("registrations", "live"):
                self._national(name, measure)
            self._live_among(name)
        for name, measure in _MULTIPLES.items():
            self._multiples(name, brin, measure)
            self._multiples(name, "", measure)
        self._students()

    def findings(self, at_most: int | None = None) -> list[str]:
        """Return what is known more narrowly than the rules say; look at so many hidden figures."""
        found = []
        wanted_names = sorted(self.natural, key=lambda name: hash_of("/".join(name)))[:at_most]
        for name, (least, most) in self.knowledge.ranges(wanted_names).items():
            wanted = min(doubt(self._threshold), self.natural[name])
            lowest, highest = self.fit.get(name, (np.inf, -np.inf))
            if most - least < wanted - 1e-6 and not lowest <= least <= most <= highest:
                found.append(f"{self._brin} knows {' '.join(name)} between {least:.0f} and {most:.0f}")
        return found

    def _own(self, name: TableName, category: str) -> Cell:
        if name is TableName.INSTITUTION:
            return self._year.total(self._brin) if category in {TOTAL, self._brin} else _NOTHING
        if category == TOTAL:
            return self._year.total(self._brin)
        return self._year.of(Dimension(name.value), self._brin).get(category, _NOTHING)

    def _national(self, name: TableName, measure: str) -> None:
        counts = self._tables[name, ""].counts
        assert counts is not None
        terms: dict[Name, float] = {}
        for category, figures in counts.rows.items():
            if measure not in figures or (name is TableName.INSTITUTION and category == TOTAL):
                continue
            own = getattr(self._own(name, category), measure)
            key = _key(name, measure, category)
            if category != TOTAL:
                terms[key] = 1.0
            value, display = figures[measure]
            if value is not None:
                self.knowledge.about(key, value, value)
            elif name is TableName.INSTITUTION and category == self._brin:
                self.knowledge.about(key, own, own)
            elif len(self._year.brins) == 1:
                self.knowledge.about(key, own, own)  # it is the country
            else:
                most = self._threshold - 1 if display.startswith("<") else self._everything
                least = max(own, 1 if measure == "registrations" else 0)
                self.knowledge.about(key, least, most)
                self.natural[key] = self._everything
        if terms:
            whole = len(terms) == len(self._categories(name))
            self.knowledge.sum({**terms, ("national", measure): -1.0}, 0.0 if whole else -np.inf, 0.0)

    def _categories(self, name: TableName) -> Collection[str]:
        if name is TableName.INSTITUTION:
            return self._year.brins
        return self._year.of(Dimension(name.value), "")

    def _live_among(self, name: TableName) -> None:
        counts = self._tables[name, ""].counts
        assert counts is not None
        for category, figures in counts.rows.items():
            made, live = _key(name, "registrations", category), _key(name, "live", category)
            if "live" in figures and made in self.knowledge.low and live in self.knowledge.low:
                self.knowledge.sum({live: 1.0, made: -1.0}, -np.inf, 0.0)

    def _multiples(self, name: TableName, of: str, base: str) -> None:
        block = self._tables[name, of].block
        assert block is not None
        terms: dict[Name, float] = {}
        for category, share in {TOTAL: block.total, **block.parts}.items():
            key = (name.value, of, category)
            if category != TOTAL:
                terms[key] = 1.0
            shows = block.shows_total if category == TOTAL else category in block.shown
            small = block.pattern.listed and category in block.pattern.labelled
            known = share.own if of else 0
            if shows:
                self.knowledge.about(key, share.part, share.part)
            else:
                most = self._threshold - 1.0 if small else self._everything
                self.knowledge.about(key, known, min(most, known + share.at_risk) if of else most)
                self.natural[key] = float(share.at_risk) if of else self._everything
                if of:
                    self.fit[key] = known + self._threshold, share.base - self._threshold
            if not of:
                self._among_others(key, name, category, base)
        self.knowledge.sum({**terms, (name.value, of, TOTAL): -1.0}, 0.0, 0.0)

    def _among_others(self, key: Name, name: TableName, category: str, base: str) -> None:
        """Know that others have no more multiple registrations than registrations."""
        own = (name.value, self._brin, category)
        made = _key(TableName.PROGRAMME, base, category)
        mine = getattr(self._own(TableName.PROGRAMME, category), base)
        if own not in self.knowledge.low:
            self.knowledge.about(own, 0.0, 0.0)
        self.knowledge.sum({key: 1.0, own: -1.0}, 0.0, np.inf)
        if made in self.knowledge.low:
            self.knowledge.sum({key: 1.0, own: -1.0, made: -1.0}, -np.inf, -float(mine))
            self.natural[key] = min(self.natural.get(key, 0.0), self.knowledge.high[made] - mine)
        if key in self.natural and self.natural[key] <= 0:
            del self.natural[key]

    def _students(self) -> None:
        """Know that those with one live registration are the live ones that are not multiple."""
        block = self._tables[TableName.LIVE_OF_STUDENT, self._brin].block
        assert block is not None
        single = float(sum(share.unknown for share in block.parts.values()))
        several = float(sum(share.own for share in block.parts.values()))
        for kind, most in (("single", single), ("several", several)):
            for number in block.parts:
                self.knowledge.about((kind, number), 0.0, most)
            everyone: dict[Name, float] = {(kind, number): 1.0 for number in block.parts}
            self.knowledge.sum(everyone, most, most)
        for number, share in block.parts.items():
            both: dict[Name, float] = {("single", number): 1.0, ("several", number): 1.0}
            if number in block.shown:
                self.knowledge.sum(both, share.part, share.part)
            elif number in block.pattern.labelled:
                self.knowledge.sum(both, 0.0, self._threshold - 1.0)
            if number not in block.shown and single:
                self.natural["single", number] = single
        total = (TableName.MULTIPLE_LIVE.value, self._brin, TOTAL)
        lives = self._tables[TableName.MULTIPLE_LIVE, self._brin].block
        assert lives is not None
        if "1" in block.parts:
            self.knowledge.sum(
                {("single", "1"): 1.0, total: 1.0}, single + lives.total.own, single + lives.total.own
            )
            self.knowledge.about(("several", "1"), 0.0, 0.0)


def _key(name: TableName, measure: str, category: str) -> Name:
    return ("national", measure) if category == TOTAL else ("national", measure, name.value, category)
