"""A hub with the clients of our own measurements, and what it costs in processor time."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import psutil

from app.persistence.embedded import EmbeddedServer
from tests.factories.live_hub import LiveClient, LiveHub, a_message
from tests.factories.world import BRIN, PROGRAMME, a_personal_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

_LIBRARY = ctypes.CDLL(None)
_STATUSES = ("OFFERED", "RECEIVED")
# One client does here what a whole country does, and asks for no new token meanwhile.
UNLIMITED = {
    "KOPPELPUNT_MEASURING": "true",
    "KOPPELPUNT_ACCESS_TOKEN_SECONDS": "3600",
    "KOPPELPUNT_FEED_DAYS": "3650",
    "KOPPELPUNT_MAX_CONNECTIONS_PER_CLIENT": "20000",
    "KOPPELPUNT_RATE_REQUESTS": "1000000",
    "KOPPELPUNT_RATE_COST": "1000000000",
    "KOPPELPUNT_LOG_LEVEL": "WARNING",  # as its peers
}


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds of processor time, of the hub and of PostgreSQL, for one unit of work."""

    hub: float
    postgresql: float

    def __str__(self) -> str:
        return f"{self.hub:.3f} ms CPU (PostgreSQL {self.postgresql:.3f})"


class Meter:
    """Counts processor time from its making on."""

    def __init__(self, hub: psutil.Process, postgresql: psutil.Process) -> None:
        self._processes = hub, postgresql
        self._begun = self._used()

    def per(self, units: int) -> Spent:
        """Return what each of so many units cost."""
        hub, postgresql = (
            (now - then) / units * 1000 for now, then in zip(self._used(), self._begun, strict=True)
        )
        return Spent(hub, postgresql)

    def _used(self) -> tuple[float, float]:
        hub, postgresql = self._processes
        return _seconds(hub.pid), _of_tree(postgresql)


def _of_tree(postmaster: psutil.Process) -> float:
    total = 0.0
    for process in (postmaster, *postmaster.children(recursive=True)):
        try:
            ended = process.cpu_times()
            total += _seconds(process.pid) + ended.children_user + ended.children_system
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue  # its parent has counted it
    return total


def _seconds(pid: int) -> float:
    """Return the processor time of all threads of a process; psutil's goes by hundredths of a second."""
    clock = ctypes.c_int()
    failure = _LIBRARY.clock_getcpuclockid(pid, ctypes.byref(clock))
    if failure:
        raise OSError(failure, os.strerror(failure))
    return time.clock_gettime(clock.value)


@dataclass
class Stage:
    """One receiver whom every event of `report` concerns, and one whom none does."""

    hub: LiveHub
    server: EmbeddedServer
    sis: LiveClient
    concerned: LiveClient
    unconcerned: LiveClient
    institution: LiveClient
    process: psutil.Process
    postgresql: psutil.Process
    sent: int = 0
    _message: dict[str, object] = field(default_factory=dict)

    @classmethod
    def set_up(cls, folder: Path, brins: Sequence[str] = (BRIN,)) -> Self:
        """Start a hub with a database of its own; it is to be stopped."""
        hub = LiveHub(folder, {"KOPPELPUNT_DATA_DIR": str(folder / "data"), **UNLIMITED})
        _run(hub, "migrate")
        institutions = "".join(f"{brin},Institution {brin}\n" for brin in brins)
        (folder / "institutions.csv").write_text(f"brin,name\n{institutions}", encoding="utf-8")
        (folder / "programmes.csv").write_text(f"crebo,name\n{PROGRAMME},A programme\n", encoding="utf-8")
        _run(hub, "catalogue", "import", "institutions.csv", "programmes.csv")
        server = EmbeddedServer(folder / "data")
        try:
            hub.start()
            server.start()  # joins the one that the hub has started
            return cls._furnished(hub, server, brins)
        except BaseException:
            hub.stop()
            server.stop()
            raise

    @classmethod
    def _furnished(cls, hub: LiveHub, server: EmbeddedServer, brins: Sequence[str]) -> Self:
        assert hub.process is not None
        (pid_file,) = (hub.folder / "data").rglob("postmaster.pid")
        stage = cls(
            hub,
            server,
            hub.add_client("sis", *(word for brin in brins for word in ("--brin", brin))),
            hub.add_client("os"),
            hub.add_client("os"),
            hub.add_client("institution", "--brin", brins[0]),
            psutil.Process(hub.process.pid),
            psutil.Process(int(pid_file.read_text(encoding="utf-8").split()[0])),
        )
        for client in stage.clients:
            client.http = httpx.Client(timeout=30)
        stage._message = a_message(personalNumber=a_personal_number(), brin=brins[0])
        stage.concerned.follow(stage.personal_number, "S-1")
        return stage

    def close(self) -> None:
        """Stop the hub, and let go of its database, which ends with the last who uses it."""
        for client in self.clients:
            client.http.close()
        self.hub.stop()
        self.server.stop()

    @property
    def clients(self) -> tuple[LiveClient, ...]:
        """All that speak with the hub; each keeps its connection."""
        return self.sis, self.concerned, self.unconcerned, self.institution

    @property
    def database_url(self) -> str:
        """Where the hub's database is."""
        return self.server.url

    def meter(self) -> Meter:
        """Begin to count."""
        return Meter(self.process, self.postgresql)

    @property
    def personal_number(self) -> object:
        """Of the student whom the events are about."""
        return self._message["personalNumber"]

    @property
    def memory(self) -> int:
        """The bytes that the hub's process holds."""
        return int(self.process.memory_info().rss)

    def report(self, events: int = 1) -> None:
        """Report so many changes of one registration in one request."""
        messages = []
        for _ in range(events):
            changed = {"status": _STATUSES[self.sent % 2], "occurredAt": now()}
            messages.append(a_message(**{**self._message, **changed, "messageId": a_message()["messageId"]}))
            self.sent += 1
        for result in self.sis.report(*messages):
            assert result["outcome"] == "ACCEPTED", result


def _run(hub: LiveHub, *command: str) -> None:
    ended = hub.run(*command)
    assert ended.returncode == 0, ended.stderr


def now() -> str:
    """Return this moment, which is no other's."""
    time.sleep(0.000_01)
    return datetime.now(UTC).isoformat()
