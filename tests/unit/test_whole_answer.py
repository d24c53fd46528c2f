"""Head and body of an answer leave together, and nothing waits that has no body to wait for."""

from __future__ import annotations

import asyncio

import pytest

from app.transport.whole_answer import WholeAnswer

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-length: 4\r\n\r\n"
_STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Recorder(asyncio.Transport):
    """Notes what is written by one call, and the end."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes] = []

    def write(self, data):
        self.calls.append(data)

    def writelines(self, list_of_data):
        self.calls.append(b"".join(list_of_data))

    def close(self):
        self.calls.append(b"closed")

    def is_closing(self):
        return b"closed" in self.calls


@pytest.fixture
def under():
    return Recorder()


@pytest.fixture
def answer(under):
    return WholeAnswer(under)


class TestWholeAnswer:
    def test_sends_head_and_body_by_one_call(self, answer, under):
        answer.write(_HEAD)
        assert under.calls == []
        answer.write(b"bo")
        answer.write(b"dy")
        assert under.calls == [_HEAD + b"bo", b"dy"]

    def test_sends_a_head_with_an_empty_body(self, answer, under):
        answer.write(_HEAD)
        answer.write(b"")
        assert under.calls == [_HEAD]

    def test_sends_the_head_of_a_stream_at_once(self, answer, under):
        answer.write(_STREAM)
        answer.write(b"text\r\ncontent-length: 4 is no head")
        assert under.calls == [_STREAM, b"text\r\ncontent-length: 4 is no head"]

    def test_tells_at_once_to_go_on(self, answer, under):
        answer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert under.calls == [b"HTTP/1.1 100 Continue\r\n\r\n"]
        answer.write(_HEAD)
        answer.write(b"body")
        assert under.calls[1:] == [_HEAD + b"body"]

    def test_sends_a_head_whose_body_does_not_come_before_it_closes(self, answer, under):
        answer.write(_HEAD)
        answer.close()
        assert under.calls == [_HEAD, b"closed"]
        assert answer.is_closing()
