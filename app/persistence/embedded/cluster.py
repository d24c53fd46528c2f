"""The data folder of the embedded server: how it comes to be, and the settings it is run with."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from app.persistence.embedded.errors import EmbeddedServerError
from app.persistence.embedded.programs import MAJOR_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from app.persistence.embedded.account import Account
    from app.persistence.embedded.place import Place

NAME: Final = "koppelpunt"
PORT: Final = 5432
_ADMINISTRATOR: Final = "postgres"
_TIMEOUT_SECONDS: Final = 120

# The hub is no superuser. It may make databases, so that tests can clone theirs. What goes wrong with a
# statement is told to the client only: such messages quote values.
_FIRST_STATEMENTS: Final = f"""\
CREATE ROLE {NAME} LOGIN CREATEDB IN ROLE pg_monitor;
ALTER ROLE {NAME} SET log_min_messages = 'log';
CREATE DATABASE {NAME} OWNER {NAME};
"""

_SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "huge_pages": "off",
    "max_wal_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "log_statement": "none",
    "log_duration": "off",
    "log_min_duration_statement": "-1",
    # No value that came from a client may reach the log: not as a parameter, not in a statement, not in the
    # DETAIL of an error.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}


def prepare(place: Place) -> None:
    """Make the data folder if there is none: complete or not at all, whenever the process is killed.

    Raises EmbeddedServerError when the folder is of another major version, or cannot be made.
    """
    version = place.data / "PG_VERSION"
    if version.is_file():
        found = version.read_text(encoding="ascii").strip()
        if found != MAJOR_VERSION:
            raise EmbeddedServerError(
                f"{place.data} was made by PostgreSQL {found}, and this is {MAJOR_VERSION}:"
                " dump it with the old version, or set KOPPELPUNT_DATA_DIR to a new folder"
            )
        return
    if place.data.exists():
        raise EmbeddedServerError(f"{place.data} is not a data folder of PostgreSQL: move it away")

    staging = place.home / "data.new"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    maker = place.account.named()
    maker.own(staging)
    folder = place.data_argument(staging)
    initdb = [
        "initdb", f"--pgdata={folder}", f"--username={_ADMINISTRATOR}", "--encoding=UTF8", "--locale=C",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums",
        "--auth-local=peer", "--auth-host=reject", "--no-instructions",
    ]  # fmt: skip
    _run(place, maker, staging, initdb)
    _run(place, maker, staging, ["postgres", "--single", "-D", folder, _ADMINISTRATOR], _FIRST_STATEMENTS)
    place.account.own_tree(staging)
    staging.rename(place.data)
    _sync_folder(place.home)


def write_settings(place: Place, *, durable: bool = True) -> None:
    """Write the settings of this version of the hub, whatever an earlier one wrote."""
    settings = _SETTINGS | {
        "fsync": "on" if durable else "off",
        "unix_socket_directories": str(place.sockets),
        "hba_file": str(place.settings / "pg_hba.conf"),
        "ident_file": str(place.settings / "pg_ident.conf"),
    }
    people = {pwd.getpwuid(0).pw_name, place.account.name} - {None}
    files = {
        "postgresql.conf": [f"{name} = '{value}'" for name, value in settings.items()],
        "pg_hba.conf": ["local all all peer map=hub", "local replication all peer map=hub"],
        "pg_ident.conf": [f'hub "{person}" {role}' for person in people for role in (NAME, _ADMINISTRATOR)],
    }
    for name, lines in files.items():
        target = place.settings / name
        target.unlink(missing_ok=True)
        target.write_text("\n".join([*lines, ""]), encoding="utf-8")
        target.chmod(0o644)


def environment() -> dict[str, str]:
    """What PostgreSQL's programs get of our environment: nothing that holds a setting or a secret."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _run(place: Place, account: Account, folder: Path, command: list[str], statements: str = "") -> None:
    program, *arguments = command
    try:
        ended = subprocess.run(  # noqa: S603 our own program and arguments
            [place.programs / program, *arguments],
            cwd=folder,
            env=environment(),
            input=statements,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
            **account.credentials,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedServerError(f"{program} could not be run: {error}") from error
    # A single-user server ends with status 0 even when a statement failed.
    if ended.returncode != 0 or "ERROR:" in ended.stderr:
        raise EmbeddedServerError(f"{program} could not make {place.data}: {ended.stderr[-500:]}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
