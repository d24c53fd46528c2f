"""Key files that change while hubs run: read again when they do, without a restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from app.settings import SettingsError
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Keys = TypeVar("Keys")
Keys_co = TypeVar("Keys_co", covariant=True)

LOOK_SECONDS = 2.0  # how old what is known of a file may be
_URGENT_SECONDS = 1.0


class KeySource(Protocol[Keys_co]):
    """Has the keys of this moment."""

    def latest(self, *, urgent: bool = False) -> Keys_co:
        """Return the keys; `urgent`: somebody else seems to know newer ones."""
        ...


class Loader(Protocol[Keys_co]):
    """Reads a key file."""

    def __call__(self, path: Path, *, create: bool) -> Keys_co:
        """Return the keys; raise SettingsError."""
        ...


class KeyFile(Generic[Keys]):
    """A file of keys. It is looked at every two seconds at most, every second when that is urgent.

    A file that cannot be used any more is logged once, and what it held before goes on counting: to end the
    service over a file that is about to be written again would help nobody.
    """

    def __init__(
        self,
        path: Path,
        load: Loader[Keys],
        *,
        create: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._load = load
        self._monotonic = monotonic
        seen = self._look()
        self._keys = load(path, create=create)
        self._seen = self._look() if seen is None else seen
        self._looked_at = monotonic()

    def latest(self, *, urgent: bool = False) -> Keys:
        """Return the keys as the file holds them; the same object for as long as it does not change."""
        now = self._monotonic()
        if now - self._looked_at >= (_URGENT_SECONDS if urgent else LOOK_SECONDS):
            self._looked_at = now
            self._read_again()
        return self._keys

    def _read_again(self) -> None:
        # Looked at before it is read: a change in between is found the next time.
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = self._load(self._path, create=False)
        except SettingsError as error:
            log.error("key_file_unusable", reason=str(error))  # noqa: TRY400 - the line says it all
        else:
            log.info("key_file_read", file=self._path.name)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size
