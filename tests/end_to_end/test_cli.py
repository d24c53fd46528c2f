"""The commands as operators type them."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from pyarrow import parquet
from typer.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.cli import cli
from app.domain.access import Role
from tests.factories.identity import ec_key, jwks
from tests.factories.live_hub import PROJECT, LiveClient, LiveHub, a_message
from tests.factories.world import BRIN, FOREIGN_BRIN, an_oin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

pytestmark = pytest.mark.slow

DATA = PROJECT.parent / "shared" / "data"
COMMANDS = [
    ["serve"], ["migrate"], ["export-schema"], ["client", "add"], ["client", "list"], ["client", "revoke"],
    ["mandate", "add"], ["mandate", "remove"], ["catalogue", "import"], ["statistics", "refresh"],
]  # fmt: skip


def typed(hub: LiveHub, *arguments: object, **environment: str) -> Result:
    """Run a command here, as the program does in a process of its own, without the seconds that one takes."""
    with patched_environment({**hub.environment, **environment}):
        return CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)


def refused(ended: Result) -> str:
    """Return the one line with which a command said why it did nothing."""
    assert ended.exit_code == 1, ended.output
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return line


@contextmanager
def patched_environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def public_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jwks") / "keys.json"
    path.write_text(json.dumps(jwks(ec_key())), encoding="utf-8")
    return path


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_shows_an_example(self, hub: LiveHub, command: list[str]) -> None:
        ended = typed(hub, *command, "--help")
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert f"Example: koppelpunt {' '.join(command)}" in " ".join(ended.stdout.split())


class TestProgram:
    """The statuses and streams of a real process."""

    def test_ends_with_2_for_wrong_usage(self, hub: LiveHub) -> None:
        ended = hub.run("client", "add")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "--name" in ended.stderr

    def test_ends_with_1_and_one_line_for_a_refusal(self, hub: LiveHub) -> None:
        ended = hub.run("serve", KOPPELPUNT_PORT="99999")
        assert (ended.returncode, ended.stdout) == (1, "")
        assert len(ended.stderr.splitlines()) == 1


class TestWrongUsage:
    @pytest.mark.parametrize(
        "command",
        [
            ["nonsense"],
            ["client", "add"],
            ["client", "add", "--role", "king"],
            ["serve", "--port", "x"],
            ["serve", "--workers", "0"],
            ["mandate", "add", "--client", "c", "--brin", "25LH", "--from", "yesterday"],
            ["catalogue", "import", "no-such-file.csv"],
        ],
        ids=" ".join,
    )
    def test_ends_with_2(self, hub: LiveHub, command: list[str]) -> None:
        ended = typed(hub, *command)
        assert ended.exit_code == 2
        assert "Traceback" not in ended.stderr


class TestClients:
    def test_are_added_listed_and_revoked(self, hub: LiveHub, public_keys: Path) -> None:
        oin = an_oin()
        add = ["client", "add", "--name", "V", "--role", "sis", "--oin", oin, "--jwks", public_keys]
        added = typed(hub, *add, "--brin", BRIN)
        assert (added.exit_code, added.stderr) == (0, "")
        (name, client_id), *rest = json.loads(added.stdout).items()
        assert (name, rest) == ("client_id", [])
        listed = [json.loads(line) for line in typed(hub, "client", "list").stdout.splitlines()]
        (mine,) = [one for one in listed if one["client_id"] == client_id]
        assert (mine["role"], mine["oin"], mine["brins"], mine["revoked"]) == ("sis", oin, [BRIN], None)
        assert typed(hub, "client", "revoke", client_id).exit_code == 0
        client = LiveClient(hub, client_id, hub.key_file)
        with pytest.raises(AssertionError, match="invalid_client"):
            client.new_token()

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"--oin": "1"}, "OIN"),
            ({"--brin": "25lh"}, "BRIN"),
            ({"--role": "region"}, "region"),
            ({"--role": "institution"}, "BRIN"),
            ({"--name": " "}, "name"),
        ],
    )
    def test_that_are_wrong_are_refused_with_one_line(
        self, hub: LiveHub, public_keys: Path, changed: dict[str, str], words: str
    ) -> None:
        options = {"--name": "V", "--role": "os", "--oin": an_oin(), "--jwks": str(public_keys), **changed}
        if "--brin" in changed:
            options["--role"] = "sis"
        line = refused(typed(hub, "client", "add", *(part for pair in options.items() for part in pair)))
        assert words.lower() in line.lower()

    def test_need_a_file_of_keys(self, hub: LiveHub, tmp_path: Path) -> None:
        (tmp_path / "none.json").write_text("{", encoding="utf-8")
        command = ["client", "add", "--name", "V", "--role", "os", "--oin", an_oin(), "--jwks"]
        assert "JSON" in refused(typed(hub, *command, tmp_path / "none.json"))

    def test_that_do_not_exist_cannot_be_revoked(self, hub: LiveHub) -> None:
        assert "no such client" in refused(typed(hub, "client", "revoke", "hub-nobody"))

    async def test_that_are_revoked_are_out_within_a_minute_open_connections_included(
        self, hub: LiveHub, join
    ) -> None:
        client = await join(hub, Role.OS)
        async with connect(hub.websocket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            payload = {"authorization": f"Bearer {client.token}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            await socket.recv()
            revoked = await asyncio.to_thread(hub.run, "client", "revoke", client.client_id)
            assert (revoked.returncode, revoked.stdout, revoked.stderr) == (0, "", "")
            with suppress(ConnectionClosed):
                async with asyncio.timeout(60):
                    while True:
                        await socket.recv()
            assert socket.close_code == 4403
        assert client.post("{ viewer { role } }").status_code == 401


class TestMandates:
    def test_are_added_and_removed(self, hub: LiveHub, sis: LiveClient) -> None:
        message = a_message(brin=FOREIGN_BRIN)
        assert sis.report(message)[0]["code"] == "NO_MANDATE"
        mandate = ["--client", sis.client_id, "--brin", FOREIGN_BRIN]
        assert typed(hub, "mandate", "add", *mandate).exit_code == 0
        assert sis.report(message)[0]["outcome"] == "ACCEPTED"
        assert typed(hub, "mandate", "remove", *mandate).exit_code == 0
        assert sis.report(a_message(brin=FOREIGN_BRIN))[0]["code"] == "NO_MANDATE"
        assert "no such mandate" in refused(typed(hub, "mandate", "remove", *mandate))


class TestCatalogue:
    def test_is_imported_again_and_again(self, hub: LiveHub) -> None:
        path = hub.folder / "more.csv"
        path.write_text("crebo,name,level\n25999,Glass blower,3\n", encoding="utf-8")
        for _ in range(2):
            ended = typed(hub, "catalogue", "import", path)
            assert (ended.exit_code, ended.stderr) == (0, "")
            assert "1 programmes" in ended.stdout

    @pytest.mark.parametrize(
        "content", ["a,b\n1,2\n", "", "brin,name\n25lh,x\n", "crebo,name,level\n1,x,high\n"]
    )
    def test_that_is_none_is_refused_with_one_line(self, hub: LiveHub, content: str) -> None:
        path = hub.folder / "wrong.csv"
        path.write_text(content, encoding="utf-8")
        refused(typed(hub, "catalogue", "import", path))

    @pytest.mark.skipif(not DATA.is_dir(), reason="the files of the country are not here")
    def test_takes_the_files_of_the_country(self, hub: LiveHub) -> None:
        ended = typed(
            hub, "catalogue", "import", *(DATA / f"{n}.csv" for n in ("institutions", "programmes"))
        )
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert "55 institutions" in ended.stdout
        assert "4168 programmes" in ended.stdout


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("PORT", "99999"),
            ("DATABASE_URL", "mysql://secret@localhost/x"),
            ("BROADCAST_URL", "amqp://secret@localhost"),
            ("BROADCAST_URL", "redis://:secret@localhost:port"),
            ("FEED_DAYS", "many"),
            ("LOG_LEVEL", "LOUD"),
        ],
    )
    def test_that_are_wrong_stop_the_start_with_one_line(self, hub: LiveHub, name: str, value: str) -> None:
        line = refused(typed(hub, "serve", **{f"KOPPELPUNT_{name}": value}))
        assert f"KOPPELPUNT_{name}" in line
        assert "secret" not in line

    def test_with_an_unreachable_database_stop_the_start_with_one_line(self, hub: LiveHub) -> None:
        url = "postgresql://nobody:secret@127.0.0.1:1/none"
        line = refused(typed(hub, "migrate", KOPPELPUNT_DATABASE_URL=url))
        assert "secret" not in line

    def test_without_keys_for_a_database_of_ones_own_stop_the_start(self, hub: LiveHub) -> None:
        bare = LiveHub(hub.folder, {"KOPPELPUNT_DATABASE_URL": hub.environment["KOPPELPUNT_DATABASE_URL"]})
        ended = bare.run("serve")
        assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
        assert "KOPPELPUNT_PSEUDONYM_KEY_FILE is needed" in ended.stderr


class TestEmbeddedServer:
    @pytest.mark.timeout(240)
    async def test_is_said_to_be_used_and_keeps_its_data_over_restarts(self, tmp_path: Path) -> None:
        folder = tmp_path / "hub"
        folder.mkdir()
        hub = LiveHub(folder, {"KOPPELPUNT_DATA_DIR": "data"})
        try:
            ended = await asyncio.to_thread(hub.run, "migrate")
            assert (ended.returncode, ended.stdout) == (0, "")
            await asyncio.to_thread(hub.start)
            said = hub.log
            assert f"No KOPPELPUNT_DATABASE_URL: using the embedded PostgreSQL in {folder / 'data'}" in said
            # Commands attach to the server that runs.
            sis = await asyncio.to_thread(hub.add_client, "sis", "--brin", BRIN)
            (folder / "i.csv").write_text(f"brin,name\n{BRIN},Kept\n", encoding="utf-8")
            assert (await asyncio.to_thread(hub.run, "catalogue", "import", "i.csv")).returncode == 0
            message = a_message()
            assert sis.report(message)[0]["outcome"] == "ACCEPTED"
            for name in ("pseudonym-keys.json", "signing-keys.json"):
                assert (folder / "data" / name).stat().st_mode & 0o777 == 0o600
            old = sis.headers

            await hub.restart()
            query = (
                "query($b: BRIN!, $a: ID!) { registrationByApplicationId(brin: $b, applicationId: $a) "
                "{ institution { name } } }"
            )
            found = sis.ask(query, {"b": BRIN, "a": message["applicationId"]})
            assert found["registrationByApplicationId"]["institution"]["name"] == "Kept"
            assert sis.headers == old, "tokens of before the restart are good"
            assert sis.report(message)[0]["outcome"] == "DUPLICATE"

            hub.signal(signal.SIGINT)
            assert await asyncio.to_thread(hub.wait) in {0, 130, -signal.SIGINT}
            assert "Traceback" not in hub.log
        finally:
            await asyncio.to_thread(hub.stop)


class TestKept:
    def test_is_swept_by_command(self, hub: LiveHub, sis: LiveClient) -> None:
        sis.report(a_message())
        ended = typed(hub, "retention", "sweep", KOPPELPUNT_RETENTION_DAYS="400")
        assert (ended.exit_code, ended.stdout) == (0, "0 announced, 0 removed\n")

    def test_is_checked_after_a_restore_only_when_no_hub_is_at_work(self, hub: LiveHub) -> None:
        assert "stop all hubs first" in refused(typed(hub, "restore-check"))
        assert "cannot be read" in refused(typed(hub, "restore-check", "--ledger", "nowhere.jsonl"))

    def test_is_exported_for_analysis(self, hub: LiveHub, sis: LiveClient, tmp_path: Path) -> None:
        message = a_message()
        sis.report(message)
        for name in ("all.csv", "all.parquet"):
            ended = typed(hub, "analysis", "export", tmp_path / name, "--school-year", 2026)
            assert ended.exit_code == 0, ended.output
        with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        assert parquet.read_table(tmp_path / "all.parquet").num_rows == len(rows)
        (row,) = [row for row in rows if row["id"] == message["applicationId"]]
        assert (row["instellingserkenningscode"], row["status"]) == (BRIN, "AO")
        assert str(message["personalNumber"]) not in (tmp_path / "all.csv").read_text(encoding="utf-8")
        assert "exists already" in refused(typed(hub, "analysis", "export", tmp_path / "all.csv"))
        assert "--format" in refused(typed(hub, "analysis", "export", tmp_path / "all"))
