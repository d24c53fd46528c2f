"""Documents that a client has registered, known by their digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_PREFIX = "sha256:"
_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TrustedDocument:
    """A document of a client."""

    client_id: str
    document_id: str
    text: str
    added_at: datetime


def document_id(text: str) -> str:
    """Return the id of a document: the SHA-256 of its text in UTF-8, in hexadecimal."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plain_id(given: str) -> str | None:
    """Return an id as it is kept, from what a client sends, with `sha256:` before it or not; None if none.

    https://github.com/graphql/graphql-over-http, appendix "Persisted Documents"
    """
    found = given.removeprefix(_PREFIX)
    return found if _ID.fullmatch(found) else None
