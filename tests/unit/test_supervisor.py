"""The supervisor of workers: who hangs holds up nobody."""

import signal
from multiprocessing import Pipe

import pytest
from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.multiprocess import SIGNALS

from app.cli.supervisor import Supervisor


class Worker:
    """A worker without a process: `answers`, hangs, or is dead."""

    def __init__(self, pid, *, alive=True, answers=True, exitcode=None):
        self.parent_conn, self._conn = Pipe()
        self.pid, self.alive, self.answers, self.exitcode = pid, alive, answers, exitcode
        self.killed = False
        self.process = self

    def is_alive(self):
        return self.alive

    def work(self):
        while self.answers and self._conn.poll(0):
            self._conn.recv()
            self._conn.send(True)

    def kill(self):
        self.killed = True
        self.close()

    def join(self):
        pass

    def close(self):
        self.parent_conn.close()
        self._conn.close()


class Trial(Supervisor):
    """A supervisor whose clock and workers are the test's."""

    def __init__(self, *workers):
        self.now = 0.0
        super().__init__(Config("nothing"), [], answer_seconds=15, monotonic=lambda: self.now)
        self.processes = list(workers)
        self.workers = list(workers)
        self.started = []
        self.room = True

    def _started(self):
        if not self.room:
            raise BlockingIOError
        worker = Worker(100 + len(self.workers))
        self.started.append(worker)
        self.workers.append(worker)
        return worker

    def look(self, times=1, seconds=0.5):
        for _ in range(times):
            self.now += seconds
            for worker in self.workers:
                if not worker.killed:
                    worker.work()
            self.keep_subprocess_alive()


@pytest.fixture
def trial():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    made = []

    def make(*workers):
        made.append(Trial(*workers))
        made[-1].look(3)  # every worker has answered, or not
        return made[-1]

    yield make
    for number, handler in before.items():
        signal.signal(number, handler)
    for one in made:
        for worker in one.workers:
            worker.close()


class TestSupervisor:
    def test_replaces_the_dead_at_the_next_look_although_another_hangs(self, trial):
        hanging, dead = Worker(1), Worker(2)
        supervisor = trial(hanging, dead)
        hanging.answers = dead.alive = False
        supervisor.look()
        assert supervisor.processes == [hanging, *supervisor.started]
        assert not hanging.killed

    def test_replaces_who_hangs_once_it_has_hung_too_long(self, trial):
        hanging, healthy = Worker(1), Worker(2)
        supervisor = trial(hanging, healthy)
        hanging.answers = False
        supervisor.look(28)
        assert supervisor.started == []
        supervisor.look(6)
        assert hanging.killed
        assert supervisor.processes == [*supervisor.started, healthy]

    def test_gives_a_start_more_time_than_an_answer(self, trial):
        starting = Worker(1, answers=False)
        supervisor = trial(starting)
        supervisor.look(80)
        before = len(supervisor.started)
        supervisor.look(60)
        assert (before, starting.killed) == (0, True)

    def test_blames_nobody_for_the_sleep_of_the_machine(self, trial):
        supervisor = trial(Worker(1), Worker(2))
        supervisor.now += 3600
        supervisor.keep_subprocess_alive()
        assert supervisor.started == []

    def test_tries_again_while_others_serve_when_one_cannot_start(self, trial):
        healthy, broken = Worker(1), Worker(2, alive=False, exitcode=STARTUP_FAILURE)
        supervisor = trial(healthy, broken)
        assert supervisor.started == []
        supervisor.look(21)
        assert not supervisor.should_exit.is_set()
        assert supervisor.processes == [healthy, *supervisor.started]
        assert len(supervisor.started) == 1
        supervisor.look(21)
        assert len(supervisor.started) == 1

    def test_tries_again_when_the_system_has_no_room_for_a_worker(self, trial):
        healthy, dead = Worker(1), Worker(2)
        supervisor = trial(healthy, dead)
        dead.alive, supervisor.room = False, False
        supervisor.look(21)
        assert supervisor.processes == [healthy, dead]
        supervisor.room = True
        supervisor.look(21)
        assert not supervisor.should_exit.is_set()
        assert supervisor.processes == [healthy, *supervisor.started]
        assert len(supervisor.started) == 1

    def test_ends_when_the_last_worker_that_serves_cannot_start_again(self, trial):
        failing, broken = Worker(1), Worker(2, alive=False, exitcode=STARTUP_FAILURE)
        supervisor = trial(failing, broken)
        failing.alive, failing.exitcode = False, STARTUP_FAILURE
        supervisor.look()
        assert (supervisor.should_exit.is_set(), supervisor.gave_up) == (True, True)
        assert supervisor.started == []

    def test_ends_when_no_worker_can_start(self, trial):
        broken = Worker(1, alive=False, exitcode=STARTUP_FAILURE)
        supervisor = trial(broken)
        assert (supervisor.should_exit.is_set(), supervisor.gave_up) == (True, True)
        assert supervisor.started == []
