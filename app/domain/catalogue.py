"""What RIO and DUO publish, as far as the hub needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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


class _Institutions(dict[str, Institution]):
    def __missing__(self, brin: str) -> Institution:
        return Institution(brin, brin)


class _Programmes(dict[str, Programme]):
    def __missing__(self, code: str) -> Programme:
        return Programme(code, None)


class Names:
    """Names of institutions and programmes, at hand in memory and renewed as a whole.

    One that the catalogue has lost is called by its BRIN; name and level of an unknown programme are None.
    """

    def __init__(self) -> None:
        self.institutions: Mapping[str, Institution] = _Institutions()
        self.programmes: Mapping[str, Programme] = _Programmes()

    def renew(self, institutions: Iterable[Institution], programmes: Iterable[Programme]) -> None:
        """Put these in the place of all that was known."""
        self.institutions = _Institutions((one.brin, one) for one in institutions)
        self.programmes = _Programmes((one.code, one) for one in programmes)
