"""uvicorn's supervisor of workers, who waits for none of them.

uvicorn's own asks one worker after the other and waits for each answer: while one hangs, the death of another
goes unseen. And when it is killed itself, its workers serve on and keep the port from who is started next.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

# Until its first answer a worker starts, which takes long on a busy machine: with uvicorn's 5 s, workers that
# took longer were killed one after the other, for ever.
_START_SECONDS = 60.0
_ANSWER_SECONDS = 15.0
_LONGEST_LOOK_SECONDS = 1.0
_AGAIN_SECONDS = 10.0  # after a start that failed
_END_SECONDS = 17.0  # whoever asked for the end is promised it in twenty


class Supervisor(Multiprocess):
    """Replaces within a second a worker that has died, and one that hangs when it has hung too long."""

    def __init__(
        self,
        config: Config,
        sockets: list[socket],
        *,
        answer_seconds: float = _ANSWER_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, sockets)
        self._answer_seconds = answer_seconds
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._unanswered: dict[int | None, float] = {}  # seconds, by process id; of those that ever answered
        self._silent: dict[int | None, float] = {}  # likewise, of those that never did
        self._again_at: dict[int | None, float] = {}  # of those that could not start
        self.gave_up = False  # since no worker could start

    def keep_subprocess_alive(self) -> None:
        """Look at every worker once, without waiting for any."""
        now = self._monotonic()
        # A machine that slept, or a supervisor that was stopped, says nothing about the workers.
        elapsed = min(now - self._looked_at, _LONGEST_LOOK_SECONDS)
        self._looked_at = now
        for index, worker in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if worker.pid in self._again_at:
                if now >= self._again_at[worker.pid]:
                    del self._again_at[worker.pid]
                    self._start_another(index, worker)
                continue
            if not worker.process.is_alive():
                log.warning("worker_died", pid=worker.pid)
            elif self._hangs(worker, elapsed):
                log.warning("worker_hangs", pid=worker.pid)
            else:
                continue
            self._replace(index, worker)

    def join_all(self) -> None:
        """Wait for all workers to end in order, and kill those that do not in time."""
        until = self._monotonic() + _END_SECONDS
        for worker in self.processes:
            worker.process.join(max(0.0, until - self._monotonic()))
            if worker.process.is_alive():
                log.warning("worker_hangs", pid=worker.pid)
                worker.kill()
            worker.join()

    def _hangs(self, worker: Process, elapsed: float) -> bool:
        pid, connection = worker.pid, worker.parent_conn
        if pid not in self._unanswered and pid not in self._silent:
            self._silent[pid] = 0.0
            connection.send(b"ping")
        try:
            if connection.poll(0):
                connection.recv()
                connection.send(b"ping")
                self._silent.pop(pid, None)
                self._unanswered[pid] = 0.0
        except (OSError, EOFError):
            return True
        if pid in self._silent:
            self._silent[pid] += elapsed
            return self._silent[pid] > _START_SECONDS
        self._unanswered[pid] += elapsed
        return self._unanswered[pid] > self._answer_seconds

    def _replace(self, index: int, worker: Process) -> None:
        worker.kill()
        worker.join()
        self._silent.pop(worker.pid, None)
        self._unanswered.pop(worker.pid, None)
        if worker.exitcode == STARTUP_FAILURE:
            # What keeps one from starting may pass, and those that serve go on meanwhile.
            log.error("worker_cannot_start", pid=worker.pid)
            self._again_at[worker.pid] = self._looked_at + _AGAIN_SECONDS
            if all(one.pid in self._again_at for one in self.processes):
                self.gave_up = True
                self.should_exit.set()
            return
        self._start_another(index, worker)

    def _start_another(self, index: int, worker: Process) -> None:
        try:
            self.processes[index] = self._started()
        except OSError as error:  # no room for a process, or no descriptor left
            log.error("worker_cannot_start", pid=worker.pid, error=type(error).__name__)  # noqa: TRY400 - in one line
            self._again_at[worker.pid] = self._looked_at + _AGAIN_SECONDS

    def _started(self) -> Process:
        worker = Process(self.config, self.sockets)
        worker.start()
        return worker


class WorkerConfig(Config):
    """The configuration of workers that end in order when their supervisor is gone."""

    def load(self) -> None:
        """Load the application; in a worker, also begin to look whether there is a supervisor."""
        parent = multiprocessing.parent_process()
        if parent is not None:
            _when_over(lambda: wait([parent.sentinel]))
        super().load()


def end_with_input() -> None:
    """End in order when standard input is over: whoever started this process holds the other end."""

    def read() -> None:
        # Not through sys.stdin, whose lock would be held at the end of the interpreter.
        while os.read(0, 4096):
            pass

    _when_over(read)


def _when_over(watch: Callable[[], object]) -> None:
    def work() -> None:
        watch()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=work, name="end-with-parent", daemon=True).start()
