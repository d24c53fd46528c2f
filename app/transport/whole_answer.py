"""Head and body of an answer by one system call: uvicorn writes them apart, and uvloop sends each at once."""

from __future__ import annotations

import asyncio

_LENGTH = b"\r\ncontent-length: "
_CONTINUE = b"HTTP/1.1 100 "


class WholeAnswer(asyncio.Transport):
    """The transport of one answer; a head that announces a length waits for the beginning of its body.

    The head of a stream of events announces none, and leaves at once. What uvicorn asks of the transport of
    an answer is to write, to close and whether it is closing.
    """

    __slots__ = ("_begun", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._begun = False
        self._head = b""

    def write(self, data: bytes) -> None:  # type: ignore[override] # uvicorn writes nothing else
        """Write, or keep the head."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
            return
        if not self._begun and not data.startswith(_CONTINUE):
            self._begun = True
            if _LENGTH in data:
                self._head = data
                return
        self._transport.write(data)

    def close(self) -> None:
        """Close; a head whose body did not come leaves first, so that the caller sees how far it came."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        self._transport.close()

    def is_closing(self) -> bool:
        """Tell whether it is closing."""
        return self._transport.is_closing()
