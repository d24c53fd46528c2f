"""What runs beside a hub never ends before it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from app.bootstrap import background
from app.bootstrap.background import finished, running
from app.telemetry import BACKGROUND_FAILURES


class TestRunning:
    @pytest.mark.parametrize("event", ["background_failed", "background_ended"])
    async def test_begins_anew(self, monkeypatch: pytest.MonkeyPatch, event: str) -> None:
        monkeypatch.setattr(background, "_PAUSE_SECONDS", 0)
        begun, third = 0, asyncio.Event()

        async def work() -> None:
            nonlocal begun
            begun += 1
            if begun == 3:
                third.set()
                await asyncio.Event().wait()
            if event == "background_failed":
                raise RuntimeError("unforeseen")

        counter = BACKGROUND_FAILURES.labels(event)._value
        before = counter.get()
        with capture_logs() as logs, running(work, event):
            async with asyncio.timeout(10):
                await third.wait()
        assert [(line["event"], line["task"]) for line in logs] == [(event, event)] * 2
        assert counter.get() == before + 2

    async def test_ends_with_the_block(self) -> None:
        ended = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        with running(work, "test"):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await ended.wait()


class TestFinished:
    async def test_is_what_takes_no_longer_than_one_may_wait(self) -> None:
        done = asyncio.Event()

        async def work() -> None:
            await asyncio.sleep(0.01)
            done.set()

        await finished(work)
        assert done.is_set()

    async def test_does_not_wait_for_what_goes_on_after_its_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(background, "_FINISH_SECONDS", 0.05)
        hangs = asyncio.Event()

        async def work() -> None:
            try:
                await hangs.wait()
            finally:
                await hangs.wait()  # for the answer to a rollback, say

        async with asyncio.timeout(10):
            await finished(work)
        hangs.set()
