"""Comparing what a sender holds with what the hub holds of an institution and school year.

Registrations are told apart by the SHA-256 of their application id, so that prefixes of it (in hexadecimal)
divide any number of them evenly. The digest of a prefix is the SHA-256 of one line for each registration
below it, in the order of the hashes: the hash, a space, the status, a line feed. So both sides have the same
digest if and only if they have the same registrations in the same statuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.codes import LearningPath, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.domain.seen import SeenRegistration

CHILD_DIGITS = 2  # so a prefix has up to 256 children
_PREFIX = re.compile(r"[0-9a-f]{0,8}", re.ASCII)
_PATHS = {path.value for path in LearningPath}
_PROGRAMME_YEARS = range(1, 4)


class Difference(StrEnum):
    """How the two sides differ in one registration, or what is wrong with one item of a list."""

    MISSING_AT_HUB = "MISSING_AT_HUB"
    MISSING_AT_SENDER = "MISSING_AT_SENDER"
    OTHER_STATUS = "OTHER_STATUS"
    OTHER_DATA = "OTHER_DATA"
    OTHER_SCHOOL_YEAR = "OTHER_SCHOOL_YEAR"
    OTHER_INSTITUTION = "OTHER_INSTITUTION"
    ANNULLED = "ANNULLED"
    REPEATED = "REPEATED"
    OUTSIDE_PREFIX = "OUTSIDE_PREFIX"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Part:
    """Which registrations are compared: of an institution and school year, below a prefix."""

    brin: str
    school_year: int
    prefix: str

    def holds(self, application_id: str) -> bool:
        """Tell whether an application id falls below the prefix."""
        return application_hash(application_id).startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class ListedRegistration:
    """A registration as the sender lists it, nothing of it checked. None: not told, so not compared."""

    application_id: str
    status: str
    programme_code: str | None = None
    learning_path: str | None = None
    programme_year: int | None = None

    def defect(self) -> str | None:
        """Return the name of the first field that cannot be right, or None."""
        if not codes.is_identifier(self.application_id):
            return "applicationId"
        if codes.status_of(self.status) is None:
            return "status"
        if self.programme_code is not None and not codes.is_programme_code(self.programme_code):
            return "programmeCode"
        if self.learning_path is not None and self.learning_path not in _PATHS:
            return "learningPath"
        if self.programme_year is not None and self.programme_year not in _PROGRAMME_YEARS:
            return "programmeYear"
        return None


@dataclass(frozen=True, slots=True)
class HeldRegistration:
    """A registration at the hub, as far as a list of them tells."""

    application_id: str
    status: Status
    student_id: int


@dataclass(frozen=True, slots=True)
class DifferentRegistration:
    """One difference. `position` is the place in the list, None of what is missing there.

    `status` is that at the hub; `field` is what differs of OTHER_DATA, or what is wrong of INVALID.
    """

    application_id: str
    difference: Difference
    position: int | None
    status: Status | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many items of a list the hub holds alike, and every difference.

    First those of the list in its order, then what the list lacks.
    """

    equal: int
    differences: tuple[DifferentRegistration, ...]


@dataclass(frozen=True, slots=True)
class PrefixDigest:
    """Count and digest of the registrations below a prefix."""

    prefix: str
    count: int
    digest: str


@dataclass(frozen=True, slots=True)
class RegistrationDigest:
    """A prefix with its children: those that hold something, in their order."""

    whole: PrefixDigest
    children: tuple[PrefixDigest, ...]


def is_prefix(text: str) -> bool:
    """Tell whether this is a prefix of a hash: up to eight hexadecimal digits, in small letters."""
    return _PREFIX.fullmatch(text) is not None


def application_hash(application_id: str) -> str:
    """Return the SHA-256 of an application id (UTF-8), in 64 hexadecimal digits."""
    return sha256(application_id.encode()).hexdigest()


def digest_of(registrations: Iterable[tuple[str, Status]]) -> str:
    """Return the digest of registrations, given as application id and status."""
    lines = sorted((application_hash(application_id), status) for application_id, status in registrations)
    return sha256("".join(f"{hashed} {status}\n" for hashed, status in lines).encode()).hexdigest()


def compare(
    part: Part,
    listed: Sequence[ListedRegistration],
    known: Mapping[str, SeenRegistration],
    held: Sequence[HeldRegistration],
) -> Comparison:
    """Compare a sender's list of a part with what the hub shows it.

    `known` holds the registrations that the sender may see among those listed, wherever they are; `held` all
    that the hub holds in this part.
    """
    seen: set[str] = set()
    differences = []
    for position, item in enumerate(listed):
        difference = _judge(part, position, item, known.get(item.application_id), seen)
        seen.add(item.application_id)
        if difference is not None:
            differences.append(difference)
    equal = len(listed) - len(differences)
    differences.extend(
        DifferentRegistration(one.application_id, Difference.MISSING_AT_SENDER, None, one.status)
        for one in held
        if one.application_id not in seen
    )
    return Comparison(equal, tuple(differences))


def _judge(
    part: Part, position: int, item: ListedRegistration, known: SeenRegistration | None, seen: set[str]
) -> DifferentRegistration | None:
    if (defect := item.defect()) is not None:
        return DifferentRegistration(item.application_id, Difference.INVALID, position, field=defect)
    kind: Difference | None
    field: str | None = None
    if item.application_id in seen:
        kind = Difference.REPEATED
    elif not part.holds(item.application_id):
        kind = Difference.OUTSIDE_PREFIX
    elif known is None:
        kind = Difference.MISSING_AT_HUB
    else:
        kind, field = _difference(part, item, known)
    if kind is None:
        return None
    status = None if known is None else Status(known.status)
    return DifferentRegistration(item.application_id, kind, position, status, field)


def _difference(
    part: Part, item: ListedRegistration, known: SeenRegistration
) -> tuple[Difference | None, str | None]:
    if known.brin != part.brin:
        return Difference.OTHER_INSTITUTION, None
    if known.annulled:
        return Difference.ANNULLED, None
    if known.school_year != part.school_year:
        return Difference.OTHER_SCHOOL_YEAR, None
    if known.status != codes.status_of(item.status):
        return Difference.OTHER_STATUS, None
    field = _other_data(item, known)
    return (None, None) if field is None else (Difference.OTHER_DATA, field)


def _other_data(item: ListedRegistration, known: SeenRegistration) -> str | None:
    if item.programme_code not in {None, known.programme_code}:
        return "programmeCode"
    if item.learning_path not in {None, known.learning_path}:
        return "learningPath"
    if item.programme_year not in {None, known.programme_year}:
        return "programmeYear"
    return None
