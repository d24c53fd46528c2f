"""What a file of a million rows takes of the hub's memory: `python -m tests.benchmarks.exports [ROWS]`.

A transfer system follows a student for each five rows. Each file is written by a process of its own.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from app.bootstrap import Hub
from app.domain.access import SCOPES_OF_ROLE, Principal, Role
from app.domain.export import ExportFormat, ExportRequest
from app.domain.following import FollowedFilter
from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer
from app.persistence.migrations import migrate
from app.services.clients import ClientService
from app.services.keys import load_pseudonym_keys, load_signing_keys
from app.settings import load_settings
from tests.factories.identity import ec_key, jwks

_OF_A_STUDENT = 5
_GROWN = (
    """
insert into programme (code, name, level)
select (25000 + n)::text, 'Programme ' || n, 4 from generate_series(0, 99) n
""",
    """
insert into institution (brin, name)
select lpad(n::text, 2, '0') || 'AA', 'Institution ' || n from generate_series(0, 59) n
""",
    """
insert into student (id, pseudonym, key_version) overriding system value
select n, sha256(n::text::bytea), 1 from generate_series(1, $1::bigint) n
""",
    """
insert into registration (id, public_id, application_id, student_id, brin, programme_code, learning_path,
                          school_year, programme_year, status, status_since, status_source, effective_at,
                          created_at, last_confirmed_at, region, reported_by)
overriding system value
select n, gen_random_uuid(), 'A-' || gen_random_uuid(), 1 + n / 5, lpad((n % 60)::text, 2, '0') || 'AA',
       (25000 + n % 100)::text, 'BOL', 2026, 1, 'RECEIVED', now(), 'SIS', now(), now(), now(), null, array[1]
from generate_series(0, $1::bigint * 5 - 1) n
""",
    """
insert into follow (organisation_id, student_id, reference, since, until)
select organisation_id, n, 'S-' || n, now(), current_date + 100 from feed, generate_series(1, $1::bigint) n
""",
    "vacuum (analyze)",
)


async def _grow(url: str, students: int) -> None:
    database = Database(url)
    await database.open()
    await ClientService(database).add_client(
        name="a transfer system", role=Role.OS, oin="00000099000000000001", jwks=jwks(ec_key())
    )
    async with database.connection() as connection:
        await connection.execute("set statement_timeout = 0")
        for statement in _GROWN:
            arguments = (students,) if "$1" in statement else ()
            await connection.execute(statement, *arguments, timeout=3600)
    await database.close()


async def _write(url: str, folder: Path, kind: ExportFormat) -> None:
    """Write a file and say what it took; this process does nothing else."""
    files = {
        "pseudonym_key_file": folder / "pseudonym-keys.json",
        "signing_keys_file": folder / "signing-keys.json",
    }
    load_pseudonym_keys(files["pseudonym_key_file"], create=True)
    load_signing_keys(files["signing_keys_file"], create=True)
    settings = load_settings(database_url=url, broadcast_url="memory://", **files)
    request = ExportRequest(FollowedFilter(), kind)
    async with Hub.open(settings, background=False) as hub:
        await hub.services.catalogue.refresh()
        (client,) = await hub.services.clients.list_clients()
        found = await hub.services.clients.find(client.client_id)
        assert found is not None
        scopes = SCOPES_OF_ROLE[Role.OS]
        caller = Principal(client.client_id, found.organisation_id, found.oin, client.name, Role.OS, scopes)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, size = perf_counter(), 0
        async for chunk in hub.services.exports.write(caller, request):
            size += len(chunk)
        took = perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{kind}: {size / 1e6:.0f} MB in {took:.0f} s ({usage.ru_utime + usage.ru_stime:.0f} s of the hub's"
        f" CPU), {usage.ru_maxrss / 1024:.0f} MiB at most, {before / 1024:.0f} of it before",
        flush=True,
    )


def main() -> None:
    """Measure on a server of one's own that leaves nothing behind."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder), durable=False) as server:
        migrate(server.url)
        asyncio.run(_grow(server.url, rows // _OF_A_STUDENT))
        print(f"{rows:,} rows", flush=True)
        for kind in ExportFormat:
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.exports", "--write", server.url, folder, kind],
                check=True,
            )


if __name__ == "__main__":
    if "--write" in sys.argv:
        url, place, kind = sys.argv[2:]
        asyncio.run(_write(url, Path(place), ExportFormat(kind)))
    else:
        main()
