"""Where the files of the embedded server stand.

    DATA_DIR/postgres/            the hub's
        data/                     0700, the server's
        postgresql.log, *.lock
        settings/                 rewritten at each start
        run/                      0700, the server's: the socket

The last two, and the programs, must be reachable for the user that the server runs as, and the path of a
socket must be short. Where DATA_DIR does not allow that (a long path, or root's home with mode 0700), they
move to a folder outside, which lives as long as the server. The data never moves: the server reaches it
through its working directory.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.persistence.embedded.account import Account
from app.persistence.embedded.errors import EmbeddedServerError
from app.persistence.embedded.programs import copy_programs, program_folder

# A socket's address holds 107 bytes, on some systems 103; PostgreSQL adds "/.s.PGSQL.5432.lock".
_LONGEST_SOCKET_FOLDER: Final = 80
# Other characters mean something in a list of hosts or of folders.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./~+-]+")
_WORKING_DIRECTORY: Final = Path("/proc/self/cwd")


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one embedded server and the account that it runs under."""

    home: Path
    base: Path
    programs: Path
    account: Account

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.home / "data"

    @property
    def sockets(self) -> Path:
        """The folder of the socket: what a client takes for the host."""
        return self.base / "run"

    @property
    def settings(self) -> Path:
        """The folder of the settings, which the server reads and cannot write."""
        return self.base / "settings"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.home / "postgresql.log"

    def data_argument(self, data: Path) -> str:
        """How a program that works in `data` is to call it."""
        if self.base != self.home and _WORKING_DIRECTORY.exists():
            return str(_WORKING_DIRECTORY)
        return str(data)

    @classmethod
    def below(cls, home: Path) -> Place:
        """The place for the server of `home`, with its folders made. Called by one process at a time."""
        account = Account.for_server(home / "data")
        programs = program_folder()
        reachable = _can_run(programs, account)
        base = home if reachable and _takes_sockets(home, account) else _outside(home, account)
        if not reachable:
            programs = copy_programs(programs, base / "programs")
        place = cls(home, base, programs, account)
        place.sockets.mkdir(mode=0o700, exist_ok=True)
        account.own(place.sockets)
        place.settings.mkdir(mode=0o700, exist_ok=True)
        if account.is_foreign:
            os.chown(place.settings, -1, account.gid)
            place.settings.chmod(0o750)
            if home.stat().st_uid != account.uid:
                # The server's group, which nobody else has, may pass; the folder stays the hub's.
                os.chown(home, -1, account.gid)
                home.chmod(0o710)
        return place

    def clear_outside(self) -> None:
        """Remove the folder outside, if there is one; only when the server has ended."""
        if self.base != self.home:
            shutil.rmtree(self.base, ignore_errors=True)
            _record(self.home).unlink(missing_ok=True)


def make_home(data_dir: Path) -> Path:
    """Make the folder of the server below `data_dir`, closed to other users."""
    home = data_dir.expanduser().resolve() / "postgres"
    try:
        if not home.parent.exists():
            home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                # For the server's user to pass through; what stands in it has modes of its own.
                home.parent.chmod(0o711)
        home.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EmbeddedServerError(f"KOPPELPUNT_DATA_DIR cannot be used: {error}") from error
    return home


def _takes_sockets(home: Path, account: Account) -> bool:
    sockets = home / "run"
    if len(os.fsencode(sockets)) > _LONGEST_SOCKET_FOLDER or not _PLAIN.fullmatch(str(sockets)):
        return False
    return not account.is_foreign or _can_pass(home.parent, account)


def _can_run(programs: Path, account: Account) -> bool:
    if not account.is_foreign:
        return True
    needed = stat.S_IROTH | stat.S_IXOTH
    return _can_pass(programs, account) and (programs / "postgres").stat().st_mode & needed == needed


def _can_pass(folder: Path, account: Account) -> bool:
    return all(
        status.st_mode & (stat.S_IXUSR if status.st_uid == account.uid else stat.S_IXOTH)
        for status in (step.stat() for step in (folder, *folder.parents))
    )


def _record(home: Path) -> Path:
    return home / "outside"


def _outside(home: Path, account: Account) -> Path:
    """The folder outside that was made before and is still ours, or a new one with a short name."""
    record = _record(home)
    if record.is_file():
        before = Path(record.read_text(encoding="utf-8"))
        if _is_ours(before):
            return before
    mode = 0o711 if account.is_foreign else 0o700
    parents = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp")]  # noqa: S108 a private folder is made in it
    if account.is_foreign:
        parents.insert(0, Path("/var/lib"))
    for parent in parents:
        if not _takes(parent, account):
            continue
        folder = Path(tempfile.mkdtemp(prefix="koppelpunt-", dir=parent))
        folder.chmod(mode)
        record.write_text(str(folder), encoding="utf-8")
        return folder
    raise EmbeddedServerError(
        f"no folder for the socket with a path that is short enough or open enough: {home.parent} is not,"
        " set KOPPELPUNT_DATA_DIR to another one"
    )


def _takes(parent: Path, account: Account) -> bool:
    if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        return False
    if len(os.fsencode(parent)) > _LONGEST_SOCKET_FOLDER // 2 or not _PLAIN.fullmatch(str(parent)):
        return False
    if not account.is_foreign:
        return True
    runs_programs = not os.statvfs(parent).f_flag & getattr(os, "ST_NOEXEC", 0)
    return runs_programs and _can_pass(parent, account)


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not others_write
