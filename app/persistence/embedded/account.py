"""Under which user of the operating system PostgreSQL runs.

PostgreSQL refuses to run as root. When the hub is root (a bare container), the server gets a user number that
nobody on the machine has, so that no other process shares its rights. It needs no entry in /etc/passwd: only
`initdb` asks for a name, and borrows that of `nobody` while it works.
"""

from __future__ import annotations

import grp
import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

from app.persistence.embedded.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Above the users and below the 65,536 numbers that an unprivileged container has.
_FIRST_CANDIDATE: Final = 59432
_LAST_CANDIDATE: Final = 59999


class Credentials(TypedDict, total=False):
    """The arguments of `subprocess` that put a child under another user; none for one's own."""

    user: int
    group: int
    extra_groups: Iterable[int]


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group number of the operating system."""

    uid: int
    gid: int

    @classmethod
    def for_server(cls, data: Path) -> Account:
        """The owner of the data folder or, when there is none yet, the one that a new folder will get.

        Raises EmbeddedServerError when the folder belongs to somebody whose server we may not run.
        """
        me = os.geteuid()
        with suppress(FileNotFoundError):
            status = data.stat()
            if me not in (0, status.st_uid):
                raise EmbeddedServerError(
                    f"{data} belongs to another user; start the hub as that user or set KOPPELPUNT_DATA_DIR"
                )
            return cls(status.st_uid, status.st_gid)
        return cls._nobody_else() if me == 0 else cls(me, os.getegid())

    @classmethod
    def _nobody_else(cls) -> Account:
        taken = {entry.pw_uid for entry in pwd.getpwall()} | {entry.gr_gid for entry in grp.getgrall()}
        number = next(n for n in range(_FIRST_CANDIDATE, _LAST_CANDIDATE) if n not in taken)
        return cls(number, number)

    @property
    def name(self) -> str | None:
        """The name in /etc/passwd; None when there is none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return None

    @property
    def is_foreign(self) -> bool:
        """Whether it is another user than the one who runs this process."""
        return self.uid != os.geteuid()

    @property
    def credentials(self) -> Credentials:
        """What `subprocess` needs to start a child as this user."""
        return (
            Credentials(user=self.uid, group=self.gid, extra_groups=()) if self.is_foreign else Credentials()
        )

    def named(self) -> Account:
        """An account with a name, for `initdb`: this one or, for root, a borrowed one."""
        if self.name is not None:
            return self
        if os.geteuid() != 0:
            raise EmbeddedServerError(
                f"user number {self.uid} has no name on this machine, and PostgreSQL asks for one:"
                " add it to /etc/passwd or set KOPPELPUNT_DATABASE_URL"
            )
        strangers = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
        if not strangers:
            raise EmbeddedServerError(
                "PostgreSQL does not run as root, and there is nobody else: set KOPPELPUNT_DATABASE_URL"
            )
        borrowed = next((entry for entry in strangers if entry.pw_name == "nobody"), strangers[0])
        return Account(borrowed.pw_uid, self.gid)

    def own(self, path: Path) -> None:
        """Give a file or folder (never what a symbolic link points to) to this account."""
        if self.is_foreign:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def own_tree(self, root: Path) -> None:
        """Give a folder and everything in it to this account, without leaving it through symbolic links."""
        if not self.is_foreign:
            return
        for _, folders, files, descriptor in os.fwalk(root):
            for entry in (".", *folders, *files):
                os.chown(entry, self.uid, self.gid, dir_fd=descriptor, follow_symlinks=False)
