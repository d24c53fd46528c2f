"""Kill -9 at a named point of the hub's work, of this process or of PostgreSQL, as a file says.

The file holds a point's name and, on a second line, the process id of PostgreSQL's postmaster if that is to
die. Whichever process gets to that point first takes the file away and kills, once.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from app.feed.audience import Audience
from app.feed.doorbell import Bell, Doorbell
from app.persistence.feeds import PendingEvents
from app.services.message_batch import MessageBatch
from app.services.status_messages import StatusMessageService
from app.transport.websocket_protocol import HubProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE = Path(os.environ["DEADLY_POINT"])


def _reach(point: str) -> None:
    """Kill if it is this point's turn."""
    try:
        name, _, postmaster = _FILE.read_text(encoding="utf-8").partition("\n")
        if name != point:
            return
        _FILE.rename(_FILE.with_suffix(".taken"))
    except FileNotFoundError:
        return
    if not postmaster:
        os.kill(os.getpid(), signal.SIGKILL)
    server = psutil.Process(int(postmaster))
    for one in (server, *server.children(recursive=True)):
        one.kill()


def _put(
    owner: type, method: str, *, before: str | None = None, after: str | None = None, of: Bell | None = None
) -> None:
    """Put points before and after a method, or before its calls for one bell."""
    inner: Callable[..., Any] = getattr(owner, method)

    def enter(arguments: tuple[object, ...]) -> None:
        if before is not None and (of is None or of in arguments):
            _reach(before)

    def leave() -> None:
        if after is not None:
            _reach(after)

    @functools.wraps(inner)
    def plain(*arguments: object, **named: object) -> object:
        enter(arguments)
        result = inner(*arguments, **named)
        leave()
        return result

    @functools.wraps(inner)
    async def waiting(*arguments: object, **named: object) -> object:
        enter(arguments)
        result = await inner(*arguments, **named)
        leave()
        return result

    setattr(owner, method, waiting if inspect.iscoroutinefunction(inner) else plain)


_put(MessageBatch, "judge", before="messages are to be judged", after="messages are judged")
_put(MessageBatch, "write", after="messages are written")
_put(Doorbell, "ring", before="messages are committed", of=Bell.EVENTS)
_put(StatusMessageService, "_record", after="messages are to be answered")
_put(PendingEvents, "number", before="events are to be numbered", after="events are numbered")
_put(Doorbell, "ring", before="numbers are committed", of=Bell.ENTRIES)
_put(Audience, "add", after="a change is read")
_put(HubProtocol, "write", after="a change is written to one of its sockets")
