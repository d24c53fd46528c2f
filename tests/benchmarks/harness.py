"""The harness that measures GraphQL servers side by side: a scratch copy of it, run by its own commands."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.factories.live_hub import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import ModuleType

_TAG = "koppelpunt"


class HarnessMissingError(Exception):
    """There is no harness where it was looked for."""


@dataclass(frozen=True)
class Harness:
    """A copy with the peers that are wanted; its PostgreSQL listens on a free port of the loopback."""

    folder: Path
    peers: tuple[str, ...]
    _port: int = field(default_factory=free_port)

    @classmethod
    def copied(cls, source: Path, folder: Path, peers: Iterable[str]) -> Harness:
        """Copy the harness; what earlier runs installed in the folder stays and is used again."""
        if not (source / "run").is_file():
            message = f"There is no harness in {source}; name its folder with --bench or KOPPELPUNT_BENCH."
            raise HarnessMissingError(message)
        wanted = {*peers, "common"}
        unwanted = {one.name for one in (source / "peers").iterdir() if one.is_dir()} - wanted

        def ignored(parent: str, names: list[str]) -> set[str]:
            return unwanted.intersection(names) if parent == str(source / "peers") else set()

        if unknown := wanted - {one.name for one in (source / "peers").iterdir()}:
            raise HarnessMissingError(f"The harness has no peer named {', '.join(sorted(unknown))}.")
        for name in unwanted:
            shutil.rmtree(folder / "peers" / name, ignore_errors=True)
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=ignored)
        for parent, _, files in os.walk(folder):
            if "node_modules" not in parent and ".venv" not in parent and "/pg" not in parent:
                os.chmod(parent, 0o755)  # noqa: PTH101, S103 - PostgreSQL runs as another user there
                for name in files:
                    path = folder / parent / name
                    path.chmod(path.stat().st_mode | 0o200)
        return cls(folder, tuple(peers))

    @property
    def model(self) -> ModuleType:
        """The module that makes the data."""
        spec = importlib.util.spec_from_file_location("bench_model", self.folder / "data" / "model.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @property
    def postmaster(self) -> Path:
        """The file with the id of PostgreSQL's process."""
        return self.folder / "pg" / "data" / "postmaster.pid"

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PEERS_PG_PORT": str(self._port), "PEERS_PYTHON": sys.executable}

    def _cluster(self, command: str) -> None:
        subprocess.run(
            [sys.executable, self.folder / "load" / "cluster.py", command],
            env=self._environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Install what is missing, and start PostgreSQL."""
        subprocess.run([self.folder / "run", "setup"], env=self._environment, check=True)
        self._cluster("start")

    def stop(self) -> None:
        """Stop PostgreSQL."""
        self._cluster("stop")

    def database_url(self, name: str) -> str:
        return f"postgresql://bench@127.0.0.1:{self._port}/{name}"

    async def fresh_database(self, name: str) -> str:
        """Make an empty database and return its address."""
        await self.drop_database(name)
        await self.execute("postgres", f'create database "{name}"')
        return self.database_url(name)

    async def drop_database(self, name: str) -> None:
        await self.execute("postgres", f'drop database if exists "{name}" with (force)')

    async def settle(self, name: str) -> None:
        """Leave nothing to be done after a load."""
        await self.execute(name, "vacuum (analyze)")
        await self.execute(name, "checkpoint")

    async def execute(self, database: str, statement: str, *values: object) -> None:
        """Execute a statement in one of the databases."""
        connection = await asyncpg.connect(self.database_url(database))
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    def measure(self, descriptor: dict[str, object], options: Sequence[str]) -> list[dict[str, Any]]:
        """Run the chosen peers and the server that is described; return the lines of the results."""
        described = self.folder / f"{_TAG}.json"
        described.write_text(json.dumps(descriptor, indent=1), encoding="utf-8")
        results = self.folder / "results" / f"{_TAG}.jsonl"
        results.unlink(missing_ok=True)
        command = ["./run", "--extra", str(described), "--tag", _TAG, "--single", "", *options, *self.peers]
        subprocess.run(command, cwd=self.folder, env=self._environment, check=True, stdout=subprocess.DEVNULL)
        return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
