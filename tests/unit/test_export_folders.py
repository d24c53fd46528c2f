"""Folders of exports: whose they are, and when they go."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.services.export_folders import clear_leftovers, export_folder

# A process that is putting a file together when it is killed.
_EXPORT = """
import asyncio
from app.services.sheets import as_xlsx

async def pages():
    yield [("a", "b")] * 1000
    print("writing", flush=True)
    await asyncio.sleep(3600)

async def main():
    async for _ in as_xlsx(("one", "two"), pages()):
        pass

asyncio.run(main())
"""


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Let folders be made in a place of the test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


class TestAFolder:
    def test_is_gone_with_all_that_is_in_it(self, place) -> None:
        with export_folder() as folder:
            (folder / "file").write_bytes(b"x")
            assert folder.parent == place
            assert folder.stat().st_mode & 0o077 == 0, "it is nobody else's to read"
        assert list(place.iterdir()) == []

    def test_is_left_alone_while_its_export_lives(self, place) -> None:
        with export_folder() as folder:
            assert clear_leftovers() == 0
            assert list(place.iterdir()) == [folder]

    def test_goes_when_a_hub_starts_after_one_that_was_killed(self, place) -> None:
        with subprocess.Popen([sys.executable, "-c", _EXPORT], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"writing\n"
            assert clear_leftovers() == 0
            process.kill()
        (left,) = place.iterdir()
        assert any(left.iterdir())
        assert clear_leftovers() == 1
        assert list(place.iterdir()) == []

    def test_is_not_taken_for_one_where_it_is_a_link_or_a_file(self, place) -> None:
        (place / "elsewhere").mkdir()
        (place / "koppelpunt-export-link").symlink_to(place / "elsewhere")
        (place / "koppelpunt-export-file").write_bytes(b"")
        assert clear_leftovers() == 0
        assert len(list(place.iterdir())) == 3
