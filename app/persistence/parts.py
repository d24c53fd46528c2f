"""Several writes in one statement: each is a part, and all of them are one round trip.

A part is the text of one or more data-modifying CTEs with placeholders from $1 on. The parts of a statement
see the same snapshot, so none may depend on what another wrote, but by its name and `returning`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

_PLACEHOLDER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """`name as (insert …)`, or several of these with commas between, and the arguments."""

    sql: str
    arguments: tuple[object, ...]


async def write(connection: asyncpg.Connection[asyncpg.Record], parts: Sequence[Part]) -> None:
    """Execute the parts as one statement."""
    if parts:
        text = _joined(tuple((part.sql, len(part.arguments)) for part in parts))
        await connection.execute(text, *chain.from_iterable(part.arguments for part in parts))


@lru_cache(256)
def _joined(parts: tuple[tuple[str, int], ...]) -> str:
    texts = []
    first = 0
    for sql, count in parts:
        texts.append(_PLACEHOLDER.sub(partial(_renumbered, first), sql))
        first += count
    return f"with {', '.join(texts)} select"


def _renumbered(first: int, placeholder: re.Match[str]) -> str:
    return f"${first + int(placeholder[1])}"
