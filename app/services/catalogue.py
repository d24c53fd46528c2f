"""The catalogue: imported from CSV, and at hand in memory for names."""

from __future__ import annotations

import asyncio
import csv
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.catalogue import Institution, Names, Programme, School
from app.domain.errors import BadUserInputError, UnavailableError
from app.persistence.catalogue import CatalogueRows
from app.persistence.unit_of_work import administrative_work
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from app.persistence.database import Database

_REFRESH_SECONDS = 60.0


class CatalogueService:
    """Names of institutions and programmes, read from memory and renewed every minute."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.names = Names()

    def institution(self, brin: str) -> Institution:
        """Return an institution; one that the catalogue has lost is called by its BRIN."""
        return self.names.institutions[brin]

    def programme(self, code: str) -> Programme:
        """Return a programme; name and level are None for a code that the catalogue does not know."""
        return self.names.programmes[code]

    async def refresh(self) -> None:
        """Read the catalogue into memory."""
        async with self._database.session() as session:
            rows = CatalogueRows(session)
            institutions, programmes = await rows.institutions(), await rows.programmes()
        self.names.renew(institutions, programmes)

    async def keep_fresh(self) -> None:
        """Refresh for as long as the process lives."""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                await self.refresh()
            except UnavailableError:
                continue
            except Exception:
                log.exception("catalogue_refresh_failed")

    async def put(
        self,
        institutions: Iterable[Institution] = (),
        programmes: Iterable[Programme] = (),
        schools: Iterable[School] = (),
    ) -> tuple[int, int, int]:
        """Add or renew what is given; return how many of each."""
        all_institutions = {one.brin: one for one in institutions}
        all_programmes = {one.code: one for one in programmes}
        all_schools = {one.code: one for one in schools}
        async with administrative_work(self._database) as session:
            rows = CatalogueRows(session)
            await rows.put_institutions(list(all_institutions.values()))
            await rows.put_programmes(list(all_programmes.values()))
            await rows.put_schools(list(all_schools.values()))
        return len(all_institutions), len(all_programmes), len(all_schools)

    async def import_file(self, path: Path) -> tuple[int, int, int]:
        """Import a CSV file; its columns tell what it holds. Raise BadUserInputError with the line.

        `brin, branch, rmc_region`: schools. `brin, name`: institutions. `crebo, name`: programmes.
        """
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            columns = set(lines.fieldnames or ())
            if {"brin", "branch", "rmc_region"} <= columns:
                schools = [_school(line, lines.line_num) for line in lines]
                return await self.put(schools=[school for school in schools if school.region])
            if {"brin", "name"} <= columns:
                return await self.put(institutions=[_institution(line, lines.line_num) for line in lines])
            if {"crebo", "name"} <= columns:
                return await self.put(programmes=[_programme(line, lines.line_num) for line in lines])
        field = path.name
        raise BadUserInputError(field, f"{path.name}: neither institutions, programmes nor schools.")


def _institution(line: Mapping[str, str], number: int) -> Institution:
    if not codes.is_brin(line["brin"]) or not line["name"]:
        field = "brin"
        raise BadUserInputError(field, f"line {number}: an institution needs a BRIN and a name.")
    return Institution(line["brin"], line["name"], line.get("rmc_region") or None)


def _programme(line: Mapping[str, str], number: int) -> Programme:
    level = line.get("level") or None
    if not codes.is_programme_code(line["crebo"]) or not line["name"] or not (level or "1").isdigit():
        field = "crebo"
        raise BadUserInputError(
            field, f"line {number}: a programme needs a code, a name, and a level or none."
        )
    return Programme(line["crebo"], line["name"], None if level is None else int(level))


def _school(line: Mapping[str, str], number: int) -> School:
    code = line["branch"] if len(line["branch"]) > len(line["brin"]) else line["brin"] + line["branch"]
    if not codes.is_school(code):
        field = "branch"
        raise BadUserInputError(field, f"line {number}: a school needs a BRIN with a branch.")
    return School(code, line["rmc_region"])
