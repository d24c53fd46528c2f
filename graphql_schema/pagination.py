"""Relay connections over keysets. Cursors are sealed: opaque to everybody, and only as the hub made them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar, overload

import orjson
import strawberry
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from app.domain.errors import BadUserInputError

if TYPE_CHECKING:
    from collections.abc import Callable

_Row = TypeVar("_Row")


class Cursors:
    """Seals keys of pages. A cursor is bound to what it is a cursor of, and to its receiver."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def seal(self, place: str, *key: str | int) -> str:
        """Return the cursor of a key."""
        return base64.urlsafe_b64encode(self._cipher.encrypt(orjson.dumps(key), [place.encode()])).decode()

    def open(self, place: str, cursor: str) -> list[str | int]:
        """Return the key in a cursor; raise BadUserInputError for what is none of this place."""
        try:
            sealed = base64.urlsafe_b64decode(cursor.encode("ascii"))
            key: list[str | int] = orjson.loads(self._cipher.decrypt(sealed, [place.encode()]))
        except (InvalidTag, ValueError, binascii.Error):
            field = "after"
            raise BadUserInputError(field, "This is not a cursor of this list.") from None
        return key


class Sealed(Sequence[str]):
    """The cursors of rows, each sealed when it is looked at: few callers ask for all."""

    __slots__ = ("_cursors", "_key", "_place", "_rows")

    def __init__(
        self, cursors: Cursors, place: str, rows: Sequence[_Row], key: Callable[[_Row], Sequence[str | int]]
    ) -> None:
        self._cursors = cursors
        self._place = place
        self._rows = rows
        self._key = key

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return a cursor, or some."""
        if isinstance(index, slice):
            return [self._cursors.seal(self._place, *self._key(row)) for row in self._rows[index]]
        return self._cursors.seal(self._place, *self._key(self._rows[index]))

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._rows)


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's page info; lists go forward only."""

    has_next_page: bool
    has_previous_page: bool
    cursors: strawberry.Private[Sequence[str]]

    @strawberry.field
    def start_cursor(self) -> str | None:
        """Return the first cursor of the page."""
        return self.cursors[0] if self.cursors else None

    @strawberry.field
    def end_cursor(self) -> str | None:
        """Return the last cursor of the page."""
        return self.cursors[-1] if self.cursors else None


def page_info(cursors: Sequence[str], *, more: bool, after: str | None) -> PageInfo:
    """Return the page info of a page with these cursors."""
    return PageInfo(has_next_page=more, has_previous_page=after is not None, cursors=cursors)


def check_first(first: int, at_most: int) -> int:
    """Return a page's size; raise BadUserInputError unless it is 1 to `at_most`."""
    if not 1 <= first <= at_most:
        field = "first"
        raise BadUserInputError(field, f"A page has 1 to {at_most:,} items.")
    return first


def cut(rows: list[_Row], first: int) -> tuple[list[_Row], bool]:
    """Return the page, and whether more follows, of rows that were read with one more than asked for."""
    return (rows[:first], True) if len(rows) > first else (rows, False)
