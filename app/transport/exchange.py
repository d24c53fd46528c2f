"""uvicorn's cycle of one request and its answer, that also takes an answer as a whole.

By ASGI head and body of an answer are two messages, each header is looked at anew, and uvicorn writes the two
apart, by two system calls. All else stays uvicorn's: what it does with bodies, pipelined requests, a
connection that is lost, and a hub that ends.

A whole answer is one message of the type `WHOLE`, an extension of ASGI that the scope names where it is
known: `status`; `lines`, the headers as they go out, but for the length of the body; and `body`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Message, Send
    from uvicorn._types import ASGISendEvent

WHOLE = "koppelpunt.answer"


class Exchange(RequestResponseCycle):
    """One request and its answer."""

    async def send(self, message: Message) -> None:  # type: ignore[override] # one type more
        """Send an answer, whole by one system call or in parts; nothing, where the client has left."""
        if message["type"] != WHOLE:
            await super().send(cast("ASGISendEvent", message))
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        body = message["body"]
        head = b"%b%bcontent-length: %d\r\n%b%b\r\n" % (
            STATUS_LINE[message["status"]],
            _date_lines(tuple(self.default_headers)),
            len(body),
            message["lines"],
            b"" if self.keep_alive else b"connection: close\r\n",
        )
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.writelines((head, body))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def in_parts(send: Send) -> Send:
    """Return what also sends whole answers, where the server knows nothing of these."""

    async def send_in_parts(message: Message) -> None:
        if message["type"] != WHOLE:
            await send(message)
            return
        headers = [tuple(line.split(b": ", 1)) for line in message["lines"].splitlines()]
        length = (b"content-length", b"%d" % len(message["body"]))
        start = {"type": "http.response.start", "status": message["status"], "headers": [length, *headers]}
        await send(start)
        await send({"type": "http.response.body", "body": message["body"]})

    return send_in_parts


def as_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as they go out."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


_date_lines = lru_cache(4)(as_lines)  # the same for a second
