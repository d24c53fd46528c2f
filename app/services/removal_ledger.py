"""The ledger of removals: a file beside the database, since a restored backup brings removed students back.

One line of JSON per student: pseudonym, version of its keys, time. It is written before the removal commits:
a hub that is killed in between leaves a line about a student who was to go, and who goes at the next check.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from app.domain.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class LedgerError(HubError):
    """The ledger of removals cannot be read: a line of it is damaged."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Removal:
    """A student who was removed, by pseudonym (32 bytes) under a version of the keys."""

    pseudonym: bytes
    key_version: int
    removed_at: datetime


def write_removals(path: Path, removals: Iterable[Removal]) -> None:
    """Add lines to the ledger; they are on disk on return. Raises OSError; blocks."""
    lines = b"".join(
        orjson.dumps(
            {"pseudonym": one.pseudonym.hex(), "keyVersion": one.key_version, "removedAt": one.removed_at},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for one in removals
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write: lines of processes that share the file do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, lines)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_removals(path: Path) -> Iterator[Removal]:
    """Yield what a ledger holds, oldest first. Raises OSError, and LedgerError at a damaged line.

    An unfinished last line is passed over: its removal never committed.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                entry = orjson.loads(line)
                yield Removal(
                    bytes.fromhex(entry["pseudonym"]),
                    int(entry["keyVersion"]),
                    datetime.fromisoformat(entry["removedAt"]),
                )
            except (ValueError, KeyError, TypeError) as error:
                message = f"The ledger of removals is damaged in line {number}."
                raise LedgerError(message) from error
