"""The clients and the catalogue that simulated traffic needs, put into the hub's database."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.access import Role
from app.services.catalogue import CatalogueService
from app.services.clients import ClientService
from app.simulation.catalogue import DEMO_INSTITUTION, INSTITUTIONS, PROGRAMMES
from app.simulation.credentials import Credentials, new_key, read_credentials, write_credentials

if TYPE_CHECKING:
    from app.domain.client import ClientOverview
    from app.persistence.database import Database

CAMBO = "Demo CAMBO"
INSTITUTION = f"{DEMO_INSTITUTION.name} (demo)"
DEMO_CAST = Counter({Role.SIS: 2, Role.OS: 2, Role.CAMBO: 1, Role.INSTITUTION: 1})
SIMULATION_CAST = Counter({Role.SIS: 3, Role.OS: 3, Role.CAMBO: 1})
_KINDS = {Role.SIS: 1, Role.OS: 2, Role.CAMBO: 3, Role.INSTITUTION: 4}
_SHARED_AMONG_VENDORS = 5  # every fifth institution uses two student information systems


async def import_builtin_catalogue(database: Database) -> tuple[list[str], tuple[str, ...]]:
    """Add what the hub's catalogue lacks; return BRINs and programme codes to play with."""
    service = CatalogueService(database)
    await service.refresh()
    await service.put(
        [one for one in INSTITUTIONS if service.institution(one.brin).name == one.brin],
        [one for one in PROGRAMMES if service.programme(one.code).name is None],
    )
    return [one.brin for one in INSTITUTIONS], tuple(one.code for one in PROGRAMMES)


async def import_catalogue(database: Database, folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """Import `institutions.csv` and `programmes.csv` of a folder; return their BRINs and codes."""
    service = CatalogueService(database)
    institutions, programmes = folder / "institutions.csv", folder / "programmes.csv"
    brins, codes = _column(institutions, "brin"), _column(programmes, "crebo")
    await service.refresh()
    if any(service.institution(brin).name == brin for brin in brins):
        await service.import_file(institutions)
    if any(service.programme(code).name is None for code in codes):
        await service.import_file(programmes)
    return brins, tuple(codes)


async def cast(
    database: Database, path: Path, wanted: Counter[Role], brins: list[str]
) -> tuple[Credentials, ...]:
    """Return these clients, registered where the hub lacks them, with mandates for all institutions.

    Their private keys stand in the file and nowhere else; those of an earlier run are used again.
    """
    service = ClientService(database)
    active = {one.client_id: one for one in await service.list_clients() if one.revoked_at is None}
    known = {one.name: one for one in _earlier(path) if one.client_id in active}
    played = []
    for role, count in wanted.items():
        for number in range(1, count + 1):
            name = _name(role, number)
            own = _brins_of(role, number, count, brins)
            if name in known:
                one = known[name]
                played.append(await _with_mandates(service, one, active[one.client_id], own))
            else:
                played.append(await _new_client(service, name, role, number, own))
    names = {one.name for one in played}
    write_credentials(path, [*played, *(one for one in known.values() if one.name not in names)])
    return tuple(played)


def _earlier(path: Path) -> tuple[Credentials, ...]:
    return read_credentials(path) if path.exists() else ()


def _name(role: Role, number: int) -> str:
    match role:
        case Role.SIS:
            return f"Demo SIS vendor {number}"
        case Role.OS:
            return f"Demo transfer system {number}"
        case Role.CAMBO:
            return CAMBO
        case _:
            return INSTITUTION


def _brins_of(role: Role, number: int, vendors: int, brins: list[str]) -> list[str]:
    if role is Role.INSTITUTION:
        return [DEMO_INSTITUTION.brin]
    if role is not Role.SIS:
        return []
    mine = number - 1
    return [
        brin
        for place, brin in enumerate(brins)
        if place % vendors == mine or (place % _SHARED_AMONG_VENDORS == 0 and (place + 1) % vendors == mine)
    ]


async def _new_client(
    service: ClientService, name: str, role: Role, number: int, brins: list[str]
) -> Credentials:
    key = new_key()
    client_id = await service.add_client(
        name=name,
        role=role,
        oin=f"00000099{_KINDS[role]:02d}{number:010d}",  # the prefix of test organisations
        jwks=key.as_dict(private=False),
        brins=brins,
    )
    return Credentials(name, role, client_id, tuple(brins), key)


async def _with_mandates(
    service: ClientService, one: Credentials, overview: ClientOverview, brins: list[str]
) -> Credentials:
    """Add the mandates that are lacking; those for other institutions stay, and are not used."""
    if one.role is Role.SIS:
        for brin in brins:
            if brin not in overview.brins:
                await service.add_mandate(one.client_id, brin)
    return Credentials(one.name, one.role, one.client_id, tuple(brins), one.key)


def _column(path: Path, name: str) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(dict.fromkeys(line[name] for line in csv.DictReader(file)))
