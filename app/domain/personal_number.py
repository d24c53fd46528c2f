"""Personal numbers: checked, never shown. A BSN, or the onderwijsnummer of a student without one."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from stdnum.nl import bsn

from app.domain.value import value

# What a student is known by under each version of the keys, oldest first. The first never changes.
Pseudonym: TypeAlias = tuple[bytes, ...]
# What makes of a message its 32 bytes under a key.
Keyed: TypeAlias = Callable[[bytes], bytes]

_MASK = "PersonalNumber(*********)"
_SHORTEST = 8  # a BSN that is written without its leading zero
_LENGTH = 9
_ZEROS = "0" * _LENGTH
# What the sum of eleven leaves: one sum tells both kinds apart, and a BSN may start with 10 too.
_BSN = 0
_ONDERWIJSNUMMER = 5


# The sum of eleven of each group of three digits in its place, by stdnum's weights: so a number is three
# look-ups, where the sum of nine products took ten times as long.
_HIGH, _MIDDLE, _LOW = (
    tuple(bsn.checksum(f"{group:03d}".ljust(3 + zeros, "0").zfill(_LENGTH)) for group in range(1000))
    for zeros in (6, 3, 0)
)


def _remainder(number: int) -> int:
    """Return what the sum of eleven of nine digits leaves."""
    return (_HIGH[number // 1_000_000] + _MIDDLE[number // 1_000 % 1_000] + _LOW[number % 1_000]) % 11


@value
class PersonalNumber:
    """What a caller sent as a personal number, right or wrong; its text form is a mask."""

    _raw: object

    def __repr__(self) -> str:
        return _MASK

    __str__ = __repr__

    def digits(self) -> str | None:
        """Return the nine digits, or None when this is no BSN and no onderwijsnummer.

        Only ASCII digits count, and no separators: two spellings of one number would be two contents.
        """
        raw = self._raw
        if not isinstance(raw, str) or not raw.isascii() or not raw.isdigit():
            return None
        if not _SHORTEST <= len(raw) <= _LENGTH:
            return None
        number = raw.zfill(_LENGTH)
        remainder = _remainder(int(number))
        if remainder == _BSN and number != _ZEROS:
            return number
        if remainder == _ONDERWIJSNUMMER and number.startswith("10"):
            return number
        return None


@dataclass(frozen=True, slots=True)
class KeyChain:
    """The secret keys behind the pseudonyms, oldest first; see `SECURITY.md` for their file.

    A rotation adds a key: the new pseudonym is the HMAC of the old one, since the number is not kept.
    `digest_key`, `sealing_key` and `subject_key` are no keys of pseudonyms, and a rotation leaves them alone:
    digests have to match those of old messages, the secrets of webhooks have to be read again, and a data
    subject has one id in all exported records. `keyed` makes HMAC-SHA256 of a key, half done once.
    """

    pseudonym_keys: tuple[bytes, ...] = field(repr=False)
    digest_key: bytes = field(repr=False)
    sealing_key: bytes = field(repr=False)
    subject_key: bytes = field(repr=False)
    keyed: Callable[[bytes], Keyed] = field(repr=False, compare=False)
    _keyed: tuple[Keyed, ...] = field(init=False, repr=False, compare=False)
    _keyed_digest: Keyed = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keyed", tuple(map(self.keyed, self.pseudonym_keys)))
        object.__setattr__(self, "_keyed_digest", self.keyed(self.digest_key))

    @property
    def version(self) -> int:
        """How many keys a pseudonym can go through."""
        return len(self.pseudonym_keys)

    def latest(self, *, urgent: bool = False) -> KeyChain:  # noqa: ARG002 - see KeySource
        """Return itself: a chain that stays as it is can stand for a file that changes."""
        return self

    def pseudonym(self, digits: str) -> bytes:
        """Return the 32 bytes by which a student is known under the newest key."""
        return self.pseudonyms(digits)[-1]

    def pseudonyms(self, digits: str) -> Pseudonym:
        """Return what a student is known by under each version, oldest first."""
        pseudonym = self._keyed[0](digits.encode())
        if len(self._keyed) == 1:
            return (pseudonym,)
        return (pseudonym, *(pseudonym := keyed(pseudonym) for keyed in self._keyed[1:]))

    def advance(self, value: bytes, version: int, to: int) -> bytes:
        """Return what a pseudonym of one version is in a later one."""
        for key in self.pseudonym_keys[version:to]:
            value = hmac.digest(key, value, "sha256")
        return value

    def fingerprint(self, version: int) -> bytes:
        """Return 16 bytes that tell whether two files hold the same key under a version."""
        return hmac.digest(self.pseudonym_keys[version - 1], b"fingerprint", "sha256")[:16]

    def digest(self, content: str) -> bytes:
        """Return the 32 bytes that tell whether two messages say the same."""
        return self._keyed_digest(content.encode("utf-8", "surrogatepass"))
