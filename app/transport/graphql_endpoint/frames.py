"""What is written to sockets: messages of graphql-transport-ws in frames, events of graphql-sse in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from graphql_schema.execution.operations import Event


def encode_message(kind: str, payload: object = None, operation_id: str | None = None) -> bytes:
    """Return a message."""
    members: dict[str, object] = {"type": kind}
    if operation_id is not None:
        members["id"] = operation_id
    if payload is not None:
        members["payload"] = payload
    return orjson.dumps(members)


def head_of(operation_id: str) -> bytes:
    """Return how each `next` of an operation begins."""
    return b'{"id":' + orjson.dumps(operation_id) + b',"type":"next","payload":'


def next_message(head: bytes, event: Event) -> bytes:
    """Return an event of the operation with this head."""
    return head + event.payload + b"}"


def next_frame(head: bytes, event: Event) -> bytes:
    """Return the same in its frame."""
    return text_frame(next_message(head, event))


def ping_frame(greeting: object) -> bytes:
    """Return a ping with the position of the caller's feed, in its frame."""
    return text_frame(encode_message("ping", greeting))


def text_frame(text: bytes) -> bytes:
    """Return a whole text frame, from a server not masked (RFC 6455, 5.2)."""
    size = len(text)
    if size < 126:  # noqa: PLR2004 - the protocol's
        return bytes((0x81, size)) + text
    if size < 65_536:  # noqa: PLR2004 - likewise
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


def event_text(payload: bytes, number: int | None = None) -> bytes:
    """Return an event of a stream; a client that comes back tells its number in `Last-Event-ID`."""
    identity = b"" if number is None else b"id: %d\n" % number
    return b"event: next\n" + identity + b"data: " + payload + b"\n\n"


def event_chunk(event: Event) -> bytes:
    """Return the same as a chunk of the body (RFC 9112, 7.1)."""
    return chunk(event_text(event.payload, event.number))


def keep_alive(_greeting: object = None) -> bytes:
    """Return a comment as a chunk: some proxies cut a stream in which nothing is said for 15 seconds."""
    return chunk(b":\n\n")


def chunk(text: bytes) -> bytes:
    """Return a chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(text), text)
