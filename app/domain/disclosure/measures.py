"""The true figures of a table, and what each reader of it knows already.

An institution knows its own registrations, so nothing about them is new to it, but what they add to a
national figure is no protection against it either: what is left of the figure without its own is what it
would learn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.domain.disclosure.suppression import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Share:
    """A count (`part`) of a base, of which an institution knows `own` by itself."""

    base: int
    part: int
    own: int = 0

    @property
    def unknown(self) -> int:
        """What the institution does not know of the part."""
        return self.part - self.own

    @property
    def rest(self) -> int:
        """What is not in the part."""
        return self.base - self.part

    @property
    def at_risk(self) -> int:
        """What could be in the part, for all that the institution knows."""
        return self.base - self.own


Shares = dict[str, Share]
_NOTHING = Share(0, 0)


@dataclass(frozen=True, slots=True)
class Table:
    """A total and its parts, of an institution or of the country.

    `of_institutions`: what each institution has in the total ('') and in the parts, for a national table;
    empty for an institution's own one.
    """

    total: Share
    parts: Shares
    of_institutions: Mapping[str, Shares] = field(default_factory=dict)

    @property
    def others(self) -> Iterable[tuple[str, Shares]]:
        """The institutions to which others' figures could be told; none where there is only one."""
        return self.of_institutions.items() if len(self.of_institutions) > 1 else ()

    def leaves(self, category: str, own: Shares) -> Share:
        """Return a cell without one institution's own share."""
        cell = self.parts[category] if category else self.total
        mine = own.get(category, _NOTHING)
        return Share(cell.base - mine.base, cell.part - mine.part)

    def only_institution(self) -> Shares | None:
        """Return the figures of the one institution that there is: it knows what it knows, nation or not."""
        return next(iter(self.of_institutions.values())) if len(self.of_institutions) == 1 else None


def views(table: Table, *, self_aware: bool, zero_tells: bool = True) -> list[View]:
    """Return the readers of a table of shares: of the part and of what is not in it.

    `self_aware`: the institution itself is among them (for figures that it does not know).
    """
    parts = table.parts
    found = [
        View(
            {name: cell.part for name, cell in parts.items()},
            high={name: cell.base for name, cell in parts.items()},
        ),
        View({name: cell.rest for name, cell in parts.items()}, ranges=False, zero_tells=zero_tells),
    ]
    if self_aware:
        found.append(
            View(
                {name: cell.unknown for name, cell in parts.items()},
                known={name: cell.own for name, cell in parts.items()},
                high={name: cell.at_risk for name, cell in parts.items()},
            )
        )
    for _, own in table.others:
        left = {name: table.leaves(name, own) for name in parts}
        known = {name: own.get(name, _NOTHING).part for name in parts}
        found += [
            View(
                {name: cell.part for name, cell in left.items()},
                known=known,
                high={name: cell.base for name, cell in left.items()},
            ),
            View({name: cell.rest for name, cell in left.items()}, ranges=False, zero_tells=False),
        ]
    return found
