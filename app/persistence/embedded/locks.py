"""Locks on files, which the operating system lets go when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FileLock:
    """A lock file, opened; the lock lives as long as this, or a copy that a child inherited, is open."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def share(self) -> None:
        """Hold it together with others; waits while somebody holds it alone."""
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)

    def try_share(self) -> bool:
        """Hold it together with others, or answer False at once."""
        return self._try(fcntl.LOCK_SH)

    def try_exclude(self) -> bool:
        """Hold it alone, or answer False at once; whoever shared it does not any more, either way."""
        return self._try(fcntl.LOCK_EX)

    def close(self) -> None:
        """Let go."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait for one's turn, and hold it for the length of the block."""
    with FileLock(path) as lock:
        fcntl.flock(lock.descriptor, fcntl.LOCK_EX)
        yield
