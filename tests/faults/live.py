"""A hub to be broken: one or several on one database, each with processes of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import httpx
import psutil

from app.persistence.embedded import EmbeddedServer
from tests.factories.live_hub import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = Path(sys.executable).parent / "koppelpunt"


def _serves(process: psutil.Process) -> bool:
    """Tell whether this is a worker that lives."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # or a zombie
        return False


class LiveHub:
    """`koppelpunt serve`, as often as there are ports; what its clients call its address is the first one."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        workers: int = 2,
        hubs: int = 1,
        host: str = "127.0.0.1",
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        log: Path | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.server = EmbeddedServer(folder)
        self.log = log or folder / "hub.log"
        self.ports = [free_port() for _ in range(hubs)]
        self.issuer = f"http://{host}:{self.ports[0]}"
        self.addresses = [f"http://{host}:{port}" for port in self.ports]
        self._host = host
        self._workers = workers
        self.environment = dict(environment or {})
        self._prefix = prefix
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, *which: int) -> None:
        """Run the hubs, or some of them, in the background."""
        environment = {name: value for name, value in os.environ.items() if "KOPPELPUNT" not in name}
        environment |= {
            "KOPPELPUNT_DATA_DIR": str(self.folder),
            "KOPPELPUNT_ISSUER": self.issuer,
            "KOPPELPUNT_LOG_LEVEL": "INFO",
            **self.environment,
        }
        for index in which or range(len(self.ports)):
            command = [str(PROGRAM), "serve", "--host", self._host, "--port", str(self.ports[index])]
            with self.log.open("ab") as log:
                self._processes[index] = subprocess.Popen(
                    [*self._prefix, *command, "--workers", str(self._workers)],
                    env=environment,
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                )

    @property
    def processes(self) -> list[psutil.Process]:
        """The processes that were started."""
        return [psutil.Process(process.pid) for process in self._processes.values()]

    def workers(self) -> list[psutil.Process]:
        """Return the processes that serve."""
        if self._workers == 1:
            return list(self.processes)
        found: list[psutil.Process] = []
        for process in self.processes:
            found += [one for one in process.children(recursive=True) if _serves(one)]
        return found

    async def ready(self, seconds: float = 150) -> None:
        """Wait until every hub says that it is ready."""
        async with asyncio.timeout(seconds), httpx.AsyncClient() as http:
            for index in self._processes:
                while not await self._is_ready(http, index):
                    assert self._processes[index].poll() is None, f"it ended: see {self.log}"
                    await asyncio.sleep(0.1)

    async def _is_ready(self, http: httpx.AsyncClient, index: int) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            answer = await http.get(f"http://{self._host}:{self.ports[index]}/health/ready")
            return answer.status_code == 200
        return False

    async def leader(self, seconds: float = 20) -> psutil.Process:
        """Return the process that numbers."""
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError, psutil.NoSuchProcess):
                    name = await self.ask(
                        "select a.application_name from pg_locks l join pg_stat_activity a using (pid)"
                        " where l.locktype = 'advisory' and l.granted"
                        " and a.application_name like 'koppelpunt dispatcher%' limit 1"
                    )
                    if name:
                        return psutil.Process(int(str(name).rsplit(" ", 1)[1]))
                await asyncio.sleep(0.02)

    async def ask(self, statement: str) -> object:
        """Ask the database."""
        connection = await asyncpg.connect(self.server.url, timeout=5)
        try:
            return await connection.fetchval(statement)
        finally:
            connection.terminate()

    def stop(self, *which: int) -> list[int]:
        """Tell the hubs, or some of them, to end; return their exit status."""
        ended = []
        for index in which or list(self._processes):
            process = self._processes.pop(index)
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in psutil.Process(process.pid).children(recursive=True):
                    one.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            try:
                ended.append(process.wait(40))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(psutil.NoSuchProcess):
                    for one in psutil.Process(process.pid).children(recursive=True):
                        one.kill()
                process.kill()
                raise
        return ended
