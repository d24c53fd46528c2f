"""What RIO and DUO publish, as far as the hub needs it."""

from __future__ import annotations

from dataclasses import dataclass


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
