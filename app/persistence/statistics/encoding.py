"""Published tables as JSON and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from app.domain.disclosure.counts import Counts
from app.domain.disclosure.measures import Share
from app.domain.disclosure.moving import Block
from app.domain.disclosure.publishing import Published, TableName
from app.domain.disclosure.suppression import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg


def encoded(table: Published) -> str:
    """Return the content of a table."""
    if table.counts is not None:
        return json.dumps({"rows": table.counts.rows}, ensure_ascii=False)
    assert table.block is not None  # noqa: S101 - it is one or the other
    block = table.block
    return json.dumps(
        {
            "block": {
                "total": _plain(block.total),
                "parts": {name: _plain(share) for name, share in block.parts.items()},
                "hidden": sorted(block.pattern.hidden),
                "labelled": sorted(block.pattern.labelled),
                "listed": block.pattern.listed,
                "beside": block.beside,
            }
        }
    )


def decoded(row: asyncpg.Record) -> Published:
    """Return the table in a row (name, of, as_of, content)."""
    name, of, as_of, text = row
    content: dict[str, Any] = json.loads(text)
    if "rows" in content:
        rows: Mapping[str, Mapping[str, tuple[int | None, str]]] = content["rows"]
        shown = {
            category: {measure: (value, display) for measure, (value, display) in row.items()}
            for category, row in rows.items()
        }
        return Published(TableName(name), of, as_of, counts=Counts(shown))
    block = content["block"]
    return Published(
        TableName(name),
        of,
        as_of,
        block=Block(
            as_of,
            Share(*block["total"]),
            {part: Share(*share) for part, share in block["parts"].items()},
            Pattern(frozenset(block["hidden"]), frozenset(block["labelled"]), block["listed"]),
            {part: tuple(values) for part, values in block["beside"].items()},
        ),
    )


def _plain(share: Share) -> tuple[int, int, int]:
    return share.base, share.part, share.own
