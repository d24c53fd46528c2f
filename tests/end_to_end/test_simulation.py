"""`koppelpunt simulate` against a hub that runs, each a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.live import running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

_SECONDS = 90


async def simulate(folder: Path, *options: str) -> tuple[int | None, str, str]:
    """Run the command to its end; return its status and what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KOPPELPUNT_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.cli",
        "simulate",
        *options,
        cwd=folder,
        env={**kept, "KOPPELPUNT_DATA_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            printed, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return process.returncode, printed.decode(), errors.decode()


class TestSimulate:
    @pytest.mark.timeout(300)
    async def test_proves_that_nothing_was_missed_whether_or_not_it_reaches_the_database(self, tmp_path):
        async with running("serve", tmp_path) as hub:
            status, printed, errors = await simulate(
                tmp_path, "--registrations", "300", "--seed", "1", "--batch", "100", "--url", hub.address
            )
            assert (status, errors) == (0, ""), printed
            assert "missed    0\n" in printed
            assert "300 registrations" in printed
            assert sum(map(int, re.findall(r"(\d+) reconnects", printed))) > 0
            clients = tmp_path / "simulation-clients.json"
            assert stat.S_IMODE(clients.stat().st_mode) == 0o600

            elsewhere = tmp_path / "elsewhere"
            elsewhere.mkdir()
            status, printed, errors = await simulate(
                elsewhere,
                "--registrations",
                "50",
                "--rate",
                "100",
                "--clients",
                str(clients),
                "--url",
                hub.address,
            )
            assert (status, errors) == (0, ""), printed
            assert "missed    0\n" in printed

    async def test_ends_with_one_line_where_no_hub_has_run(self, tmp_path):
        status, printed, errors = await simulate(tmp_path)
        assert (status, printed) == (1, "")
        assert len(errors.splitlines()) == 1
        assert "No hub has run" in errors
        assert not list(tmp_path.iterdir())

    async def test_ends_with_one_line_where_the_file_of_clients_is_open_to_others(self, tmp_path):
        clients = tmp_path / "clients.json"
        clients.write_text("{}")
        clients.chmod(0o644)
        status, _, errors = await simulate(tmp_path, "--clients", str(clients))
        assert status == 1
        assert len(errors.splitlines()) == 1
        assert "0600" in errors
