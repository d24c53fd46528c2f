"""What runs beside a hub never ends before it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from app.bootstrap import background
from app.bootstrap.background import running
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
