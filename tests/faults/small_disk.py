"""A disk of a few megabytes: a tmpfs, where the machine allows to mount one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """Mount a disk on a folder while the block lasts; raises CalledProcessError where that is not allowed."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", folder],
        check=True,
        capture_output=True,
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)


def may_mount() -> bool:
    """Tell whether this machine and user allow it."""
    if sys.platform != "linux":
        return False
    try:
        with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder), megabytes=1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def fill(folder: Path) -> Path:
    """Write a file that takes all that is left; return it."""
    path = folder / "too-much"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65_536))
        except OSError:
            return path
