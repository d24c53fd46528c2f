"""The way of a comparison from the sender's side: a list against the hub, by digests, in few exchanges."""

from __future__ import annotations

import csv
from bisect import bisect_left
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from app.domain.reconciliation import CHILD_DIGITS, application_hash
from app.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    Ask = Callable[[str, Mapping[str, object]], Awaitable[dict[str, Any]]]

_AT_ONCE = 1000
_LONGEST_PREFIX = 8
_COLUMNS = {
    "applicationid": "applicationId",
    "aanmeldid": "applicationId",
    "status": "status",
    "programmecode": "programmeCode",
    "crebo": "programmeCode",
    "learningpath": "learningPath",
    "leertraject": "learningPath",
    "programmeyear": "programmeYear",
    "leerjaar": "programmeYear",
}
_DIGEST = """query Digest($brin: BRIN!, $schoolYear: Int!, $prefix: String!) {
  registrationDigest(brin: $brin, schoolYear: $schoolYear, prefix: $prefix) {
    prefix count digest children { prefix count digest } } }"""
_COMPARE = """query Compare($input: CompareRegistrationsInput!) {
  compareRegistrations(input: $input) {
    equal differences { applicationId difference position status field } } }"""


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the file: the hash of its application id, its number in the file, and what it says."""

    hash: str
    line: int
    content: dict[str, object]


def read_items(path: Path) -> list[Item]:
    """Read a CSV file (UTF-8, commas or semicolons) in the order of the hashes.

    It needs the columns `application_id` and `status`; `programme_code`, `learning_path` and `programme_year`
    are compared where they are. Raises SettingsError with one line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            lines = csv.DictReader(file, delimiter=";" if ";" in header else ",", strict=True)
            names = {
                name: _COLUMNS.get(name.strip().lower().replace("_", "")) for name in lines.fieldnames or ()
            }
            if not {"applicationId", "status"} <= set(names.values()):
                raise SettingsError(f"{path.name} has no columns application_id and status.")
            items = [_item(lines.line_num, line, names) for line in lines]
    except (OSError, UnicodeDecodeError, csv.Error):
        raise SettingsError(f"{path.name} is not a CSV file in UTF-8.") from None
    return sorted(items, key=lambda item: item.hash)


def _item(number: int, line: Mapping[str, str | None], names: Mapping[str, str | None]) -> Item:
    content: dict[str, object] = {"applicationId": "", "status": ""}
    for column, name in names.items():
        text = (line[column] or "").strip()
        if name == "programmeYear" and text:
            content[name] = int(text) if text.isdecimal() and len(text) == 1 else 0  # which no year is
        elif name is not None and text:
            content[name] = text
    return Item(application_hash(str(content["applicationId"])), number, content)


class Comparison:
    """One list against the hub. `exchanges` counts the questions."""

    def __init__(self, ask: Ask, items: list[Item], brin: str, school_year: int, *, full: bool) -> None:
        self._ask = ask
        self._items = items
        self._hashes = [item.hash for item in items]
        self._place = {"brin": brin, "schoolYear": school_year}
        self._full = full
        self.exchanges = 0

    async def differences(self, prefix: str = "") -> AsyncIterator[dict[str, object]]:
        """Yield every difference below a prefix; parts with equal digests are left out unless `full`."""
        self.exchanges += 1
        answer = await self._ask(_DIGEST, {**self._place, "prefix": prefix})
        found = answer["registrationDigest"]
        if self._same(found):
            return
        if self._small(found):
            async for difference in self._compared(prefix):
                yield difference
            return
        children = {child["prefix"]: child for child in found["children"]}
        mine = {hashed[: len(prefix) + CHILD_DIGITS] for hashed in self._hashes[self._part(prefix)]}
        for child in sorted(mine | set(children)):
            theirs = children.get(child, {"prefix": child, "count": 0, "digest": ""})
            if self._same(theirs):
                continue
            deeper = self._compared(child) if self._small(theirs) else self.differences(child)
            async for difference in deeper:
                yield difference

    def _part(self, prefix: str) -> slice:
        return slice(bisect_left(self._hashes, prefix), bisect_left(self._hashes, prefix + "g"))

    def _same(self, theirs: Mapping[str, Any]) -> bool:
        mine = self._items[self._part(theirs["prefix"])]
        return not self._full and theirs["count"] == len(mine) and theirs["digest"] == _digest(mine)

    def _small(self, theirs: Mapping[str, Any]) -> bool:
        mine = len(self._items[self._part(theirs["prefix"])])
        if mine > _AT_ONCE and len(theirs["prefix"]) >= _LONGEST_PREFIX:
            raise SettingsError("The file repeats an application id more than a thousand times.")
        return max(mine, int(theirs["count"])) <= _AT_ONCE

    async def _compared(self, prefix: str) -> AsyncIterator[dict[str, object]]:
        part = self._items[self._part(prefix)]
        listed = [item.content for item in part]
        self.exchanges += 1
        answer = await self._ask(
            _COMPARE, {"input": {**self._place, "prefix": prefix, "registrations": listed}}
        )
        for difference in answer["compareRegistrations"]["differences"]:
            position = difference.pop("position")
            yield {**difference, "line": None if position is None else part[position].line}


def _digest(items: list[Item]) -> str:
    return sha256("".join(_lines(items)).encode()).hexdigest()


def _lines(items: list[Item]) -> Iterator[str]:
    from app.domain.codes import status_of

    for item in items:
        status = str(item.content["status"])
        yield f"{item.hash} {status_of(status) or status}\n"
