"""The embedded server: started by the first process that needs it, stopped by the last that leaves.

Three lock files hold the truth, since unlike a pid in a file a lock ends with its holder, also after kill -9:

- `start.lock`: held by whoever starts or stops the server, or looks at it in order to decide.
- `attached.lock`: shared by every process that uses the server. Whoever can have it alone is the last.
- `alive.lock`: inherited by PostgreSQL and all its children. While it is held, something of the server lives.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from app.persistence.embedded import cluster
from app.persistence.embedded.errors import EmbeddedServerError
from app.persistence.embedded.locks import FileLock, alone
from app.persistence.embedded.place import Place, make_home

if TYPE_CHECKING:
    from pathlib import Path

_START_SECONDS: Final = 120.0  # recovery after a crash included
_FAST_STOP_SECONDS: Final = 60.0
_IMMEDIATE_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_WATCH_SECONDS: Final = 1.0
_LARGEST_LOG_BYTES: Final = 10_000_000
_LAST_OF_LOG_BYTES: Final = 600

_logger = logging.getLogger(__name__)


class EmbeddedServer:
    """A PostgreSQL server below `data_dir`, shared by all processes that start one there.

    Reached through a socket in a folder of mode 0700 only, by the user that runs the hub and by root.
    One that is not `durable` may lose its data when the machine ends (not when a process does): for tests.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data_dir = data_dir
        self._durable = durable
        self._place: Place | None = None
        self._attached: FileLock | None = None
        self._mutex = threading.RLock()

    @property
    def url(self) -> str:
        """The address of the database, for asyncpg; once started."""
        folder = quote(str(self._started().sockets))
        return f"postgresql://{cluster.NAME}@/{cluster.NAME}?host={folder}&port={cluster.PORT}"

    def start(self) -> None:
        """Start the server, or attach to the one that runs; makes the database if there is none.

        Returns when the database answers: after some tens of milliseconds, or about a second with a new
        folder. Raises EmbeddedServerError. Blocks: not for an event loop that serves.
        """
        with self._mutex:
            if self._attached is not None:
                return
            home = make_home(self._data_dir)
            try:
                with alone(home / "start.lock"):
                    self._place = Place.below(home)
                    attached = FileLock(home / "attached.lock")
                    try:
                        attached.share()
                        _ensure_running(self._place, durable=self._durable)
                    except BaseException:
                        if attached.try_exclude() and not _is_alive(self._place):
                            self._place.clear_outside()
                        attached.close()
                        raise
                    self._attached = attached
            except OSError as error:
                raise EmbeddedServerError(
                    f"the embedded PostgreSQL in {home} cannot be used: {error}"
                ) from error

    def stop(self) -> None:
        """Detach; the last process to do so stops the server and waits until it has ended.

        Raises EmbeddedServerError when it does not end; what was committed is kept either way.
        """
        with self._mutex:
            if self._attached is None:
                return
            place = self._started()
            try:
                with alone(place.home / "start.lock"), self._attached as attached:
                    self._attached = None
                    if attached.try_exclude():
                        _stop(place)
                        place.clear_outside()
            except OSError as error:
                raise EmbeddedServerError(f"the embedded PostgreSQL could not be stopped: {error}") from error

    async def watch(self) -> None:
        """Start the server again whenever it has died, within about a second; runs until cancelled."""
        wait = _WATCH_SECONDS
        while True:
            await asyncio.sleep(wait)
            try:
                await asyncio.to_thread(self._revive)
            except (EmbeddedServerError, OSError) as error:
                _logger.error("the embedded PostgreSQL could not be started again: %s", error)  # noqa: TRY400 one line
                wait = min(wait * 2, 30 * _WATCH_SECONDS)
            else:
                wait = _WATCH_SECONDS

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self) -> Place:
        if self._place is None:
            raise EmbeddedServerError("the embedded PostgreSQL has not been started")
        return self._place

    def _revive(self) -> None:
        with self._mutex:
            if self._attached is None or self._place is None or _is_alive(self._place):
                return
            with alone(self._place.home / "start.lock"):
                if not _is_alive(self._place):
                    _logger.warning("the embedded PostgreSQL has died and is started again")
                _ensure_running(self._place, durable=self._durable)


def _is_alive(place: Place) -> bool:
    with FileLock(place.home / "alive.lock") as alive:
        return not alive.try_share()


def _ensure_running(place: Place, *, durable: bool) -> None:
    """Answer when the server does. The caller holds the start lock."""
    launched = False
    complaint = "it did not answer"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with FileLock(place.home / "alive.lock") as alive:
            if alive.try_exclude():
                if launched:
                    raise EmbeddedServerError(f"PostgreSQL did not start: {_last_of_log(place)}")
                cluster.prepare(place)
                _launch(place, alive, durable=durable)
                launched = True
        # Children of a killed server may live a moment longer than it: then this fails until they are gone.
        if (place.sockets / f".s.PGSQL.{cluster.PORT}").exists():
            complaint = _complaint(place)
            if not complaint:
                return
            if "authentication failed" in complaint:
                break
        time.sleep(_POLL_SECONDS)
    raise EmbeddedServerError(f"the embedded PostgreSQL in {place.home} cannot be used: {complaint}")


def _launch(place: Place, alive: FileLock, *, durable: bool) -> None:
    """Start PostgreSQL in a session of its own, so that Ctrl-C ends the hub first."""
    # Nothing of the server lives, so the number in the file may be anybody's by now, and PostgreSQL would
    # refuse to start beside it.
    # Likewise beside the lock of its socket: where nobody reaps the killed server its number lives on.
    (place.data / "postmaster.pid").unlink(missing_ok=True)
    (place.sockets / f".s.PGSQL.{cluster.PORT}.lock").unlink(missing_ok=True)
    cluster.write_settings(place, durable=durable)
    if place.log.exists() and place.log.stat().st_size > _LARGEST_LOG_BYTES:
        place.log.replace(place.log.with_suffix(".log.1"))
    settings = place.settings / "postgresql.conf"
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # The shell ends at once, so that the server is nobody's child and leaves no zombie when it dies.
        subprocess.run(  # noqa: S603 our own program and arguments
            [
                "/bin/sh", "-c", '"$0" "$@" &',
                place.programs / "postgres", "-D", place.data_argument(place.data),
                "-c", f"config_file={settings}",
            ],
            cwd=place.data,
            env=cluster.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[alive.descriptor],
            start_new_session=True,
            check=True,
            **place.account.credentials,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedServerError(f"PostgreSQL could not be run: {error}") from error
    finally:
        os.close(log)


def _complaint(place: Place) -> str:
    """Why a client cannot use the database at this moment; empty when it can."""
    try:
        asked = subprocess.run(  # noqa: S603 our own program and arguments
            [
                place.programs / "psql", "--no-psqlrc", "--no-password", "--quiet",
                f"--host={place.sockets}", f"--port={cluster.PORT}", f"--username={cluster.NAME}",
                f"--dbname={cluster.NAME}", "--command=SELECT 1",
            ],
            env=cluster.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if asked.returncode == 0 else asked.stderr or "psql failed"


def _stop(place: Place) -> None:
    """End the server, aborting open transactions. The caller holds the start lock."""
    for kind, seconds in ((signal.SIGINT, _FAST_STOP_SECONDS), (signal.SIGQUIT, _IMMEDIATE_STOP_SECONDS)):
        if _is_alive(place):
            # No file: it has been killed, and its children are about to follow.
            with suppress(FileNotFoundError, ProcessLookupError, ValueError):
                os.kill(
                    int((place.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]), kind
                )
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _is_alive(place):
                return
            time.sleep(_POLL_SECONDS)
    raise EmbeddedServerError(f"the embedded PostgreSQL in {place.home} did not stop")


def _last_of_log(place: Place) -> str:
    try:
        text = place.log.read_bytes()[-_LAST_OF_LOG_BYTES:].decode("utf-8", "replace")
    except OSError:
        return f"see {place.log}"
    return f"{text} (see {place.log})"
