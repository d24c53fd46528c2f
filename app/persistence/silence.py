"""For how long a connection to PostgreSQL may be silent before it counts as lost, on both of its sides.

A peer that vanished without a word is not noticed by TCP for minutes, and never by one who only waits.
So long its locks stay locked, and who waits for its answer waits. Unix sockets cannot vanish so.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import BaseTransport

_IDLE_SECONDS: Final = 5
_PAUSE_SECONDS: Final = 2
_PROBES: Final = 3
# Of what was sent and never confirmed; a short failure of the network passes unnoticed.
_UNCONFIRMED_MILLISECONDS: Final = 6_000

# https://www.postgresql.org/docs/current/runtime-config-connection.html#RUNTIME-CONFIG-TCP-SETTINGS
BY_THE_SERVER: Final = {
    "tcp_keepalives_idle": str(_IDLE_SECONDS),
    "tcp_keepalives_interval": str(_PAUSE_SECONDS),
    "tcp_keepalives_count": str(_PROBES),
    "tcp_user_timeout": str(_UNCONFIRMED_MILLISECONDS),
}


def limit_silence(transport: BaseTransport) -> None:
    """Let the kernel end this connection, within some twelve seconds, when its peer is gone."""
    connected = transport.get_extra_info("socket")
    if sys.platform != "linux" or connected is None or connected.family == socket.AF_UNIX:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, _IDLE_SECONDS),
        (socket.TCP_KEEPINTVL, _PAUSE_SECONDS),
        (socket.TCP_KEEPCNT, _PROBES),
        (socket.TCP_USER_TIMEOUT, _UNCONFIRMED_MILLISECONDS),
    ):
        connected.setsockopt(socket.IPPROTO_TCP, option, value)
