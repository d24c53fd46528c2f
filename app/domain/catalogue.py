"""What RIO and DUO publish, as far as the hub needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Institution:
    """An mbo institution by its BRIN; `region` is the code of its RMC region."""

    brin: str
    name: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme by its code; name and level are None while the catalogue does not know them."""

    code: str
    name: str | None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class School:
    """A branch of a secondary school; only its region matters."""

    code: str
    region: str


class Names:
    """Names of institutions and programmes, at hand in memory and renewed as a whole."""

    def __init__(self) -> None:
        self._institutions: dict[str, Institution] = {}
        self._programmes: dict[str, Programme] = {}

    def renew(self, institutions: Iterable[Institution], programmes: Iterable[Programme]) -> None:
        """Put these in the place of all that was known."""
        self._institutions = {one.brin: one for one in institutions}
        self._programmes = {one.code: one for one in programmes}

    def institution(self, brin: str) -> Institution:
        """Return an institution; one that the catalogue has lost is called by its BRIN."""
        return self._institutions.get(brin) or Institution(brin, brin)

    def programme(self, code: str) -> Programme:
        """Return a programme; name and level are None for a code that the catalogue does not know."""
        return self._programmes.get(code) or Programme(code, None)
