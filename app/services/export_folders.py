"""Folders in which files are put together: gone when the export ends, or when the next hub starts.

A folder is locked while its export lives, so that no process of the hub takes another's for a leftover.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "koppelpunt-export-"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextmanager
def export_folder() -> Iterator[Path]:
    """Make a folder of one's own, and remove it with all that is in it."""
    made = Path(tempfile.mkdtemp(prefix="koppelpunt-new-"))
    descriptor = os.open(made, _FLAGS)
    folder = made.with_name(made.name.replace("koppelpunt-new-", _PREFIX, 1))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made.rename(folder)  # only now it can be taken for a leftover, and is locked
        yield folder
    finally:
        shutil.rmtree(folder if folder.exists() else made)
        os.close(descriptor)


def clear_leftovers() -> int:
    """Remove the folders of exports whose process is gone; return how many."""
    return sum(_cleared(folder) for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))


def _cleared(folder: Path) -> bool:
    with suppress(OSError):  # somebody else's, or gone meanwhile
        descriptor = os.open(folder, _FLAGS)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.getuid():
                shutil.rmtree(folder)
                return True
        finally:
            os.close(descriptor)
    return False
