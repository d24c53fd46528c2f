"""The line of each request: what it holds, when it is written, and its place among the other lines."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.testing import capture_logs

from app.request_log import REQUEST, REQUEST_LOG, RequestFacts, RequestLog, identify, merge_request
from app.telemetry import LOG_LINES_LOST, configure_logging
from tests.scratch_graphql import NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = RequestFacts("12345678901234567890123456789012", "4bf92f3577b34da6a3ce929d0e0e4736", "client")


class Stream(io.StringIO):
    """Keeps each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def log(stream: Stream) -> RequestLog:
    made = RequestLog()
    made.configure(stream, silent=False)
    return made


@contextmanager
def logging_to(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "stderr", stream)
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    configure_logging(json=True)
    try:
        yield
    finally:
        REQUEST_LOG.configure(None, silent=False)
        root.handlers = handlers
        root.setLevel(level)
        structlog.configure(**before)


class TestLine:
    async def test_has_the_members_of_every_line(self, log: RequestLog, stream: Stream) -> None:
        log.note("POST", "/graphql", 200, 0.01234, FACTS)
        log.flush()
        (line,) = stream.lines
        assert str(line.pop("timestamp")).endswith("Z")
        assert line == {
            "event": "request",
            "level": "info",
            "method": "POST",
            "path": "/graphql",
            "status": 200,
            "duration_ms": 12.3,
            "request_id": FACTS.request_id,
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "client_id": "client",
        }

    async def test_lacks_what_is_not_known(self, log: RequestLog, stream: Stream) -> None:
        log.note("GET", "/", 200, 0.01, RequestFacts("r"))
        log.flush()
        assert {"client_id", "trace_id"} & set(stream.lines[0]) == set()

    async def test_masks_what_might_be_a_personal_number(self, log: RequestLog, stream: Stream) -> None:
        facts = RequestFacts("r", f"{NUMBER}aaaaaaaaaaaaaaaaaaaaaaa", NUMBER)
        log.note("POST", f"/{NUMBER}", 404, 0.01, facts)
        log.note("POST", f"/{NUMBER}{'a' * 1000}", 404, 0.01, facts)
        log.flush()
        assert len(stream.lines) == 2
        assert NUMBER not in stream.getvalue()

    async def test_goes_through_structlog_where_lines_are_for_people(self, log: RequestLog) -> None:
        log.configure(None, silent=False)
        with capture_logs() as logs:
            log.note("POST", "/graphql", 200, 0.01, FACTS)
        (line,) = logs
        assert (line["event"], line["status"], line["client_id"]) == ("request", 200, "client")

    async def test_is_left_out_below_its_level(self, log: RequestLog, stream: Stream) -> None:
        log.configure(stream, silent=True)
        log.note("POST", "/graphql", 200, 0.01, FACTS)
        log.flush()
        assert stream.getvalue() == ""


class TestGroup:
    async def test_is_written_soon_without_being_asked(self, log: RequestLog, stream: Stream) -> None:
        log.note("POST", "/graphql", 200, 0.01, FACTS)
        assert stream.writes == []
        async with asyncio.timeout(10):
            while not stream.writes:  # noqa: ASYNC110 - a stream tells nobody
                await asyncio.sleep(0.005)

    async def test_never_holds_more_than_is_written_at_once(self, log: RequestLog, stream: Stream) -> None:
        for _ in range(100):
            log.note("POST", "/graphql", 200, 0.01, FACTS)
        log.flush()
        assert len(stream.lines) == 100
        assert 1 < len(stream.writes) < 20
        assert max(map(len, stream.writes)) <= 4096
        assert all(text.endswith("\n") for text in stream.writes)

    async def test_stands_before_any_later_line(
        self, stream: Stream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with logging_to(stream, monkeypatch):
            token = REQUEST.set(FACTS)
            REQUEST_LOG.note("POST", "/graphql", 500, 0.01, FACTS)
            structlog.stdlib.get_logger("koppelpunt.test").error("afterwards")
            REQUEST.reset(token)
        first, second = stream.lines
        assert [first["event"], second["event"]] == ["request", "afterwards"]
        assert second["client_id"] == "client"
        assert second["request_id"] == first["request_id"]


class Full(Stream):
    """Takes nothing, while it is full."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


class TestStreamThatTakesNothing:
    async def test_is_no_matter_of_whoever_notes_something(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream, lost = Full(), LOG_LINES_LOST._value.get()
        with logging_to(stream, monkeypatch):
            REQUEST_LOG.note("POST", "/graphql", 500, 0.01, FACTS)
            structlog.stdlib.get_logger("koppelpunt.test").error("lost")
            logging.getLogger("another").error("of %s", NUMBER)
            assert LOG_LINES_LOST._value.get() == lost + 3
            stream.full = False
            REQUEST_LOG.note("POST", "/graphql", 200, 0.01, FACTS)
            structlog.stdlib.get_logger("koppelpunt.test").error("written")
        assert [line["event"] for line in stream.lines] == ["request", "written"]


class TestFacts:
    def test_stand_in_every_event_of_the_request(self) -> None:
        token = REQUEST.set(RequestFacts("r"))
        try:
            assert merge_request(None, "info", {"event": "x"}) == {"event": "x", "request_id": "r"}
            identify("client")
            event = merge_request(None, "info", {"event": "x", "client_id": "its own"})
            assert event == {"event": "x", "request_id": "r", "client_id": "its own"}
        finally:
            REQUEST.reset(token)

    def test_are_none_in_the_background(self) -> None:
        identify("nobody")
        assert merge_request(None, "info", {"event": "x"}) == {"event": "x"}
