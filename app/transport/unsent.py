"""How much the kernel takes for a client to which changes are pushed."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import BaseTransport

_UNSENT_BYTES: Final = 32_768
# Not every system has it.
_OPTION: Final = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def keep_unsent_small(transport: BaseTransport) -> None:
    """Let the kernel take little that it cannot send: for who does not read, it would keep megabytes.

    What is on its way to the client is not counted (TCP_NOTSENT_LOWAT, tcp(7)).
    """
    connection = transport.get_extra_info("socket")
    if _OPTION is None or connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    with suppress(OSError):  # the client has left already
        connection.setsockopt(socket.IPPROTO_TCP, _OPTION, _UNSENT_BYTES)
