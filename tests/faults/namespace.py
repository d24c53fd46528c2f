"""A network of its own for a hub: a namespace with one line to this one, which can be cut without a word."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_IP = shutil.which("ip") or "ip"


def _ip(*words: str) -> None:
    subprocess.run([_IP, *words], check=True, capture_output=True, timeout=10)


@dataclass(frozen=True, slots=True)
class Namespace:
    """`here` and `there`: the addresses of the two ends of the line."""

    name: str
    here: str
    there: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command begins with that is to run there."""
        return (_IP, "netns", "exec", self.name)

    def cut(self) -> None:
        """Lose what is sent, in both directions; nobody is told."""
        _ip("link", "set", self.name, "down")

    def mend(self) -> None:
        """Pass on again."""
        _ip("link", "set", self.name, "up")


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make one while the block lasts; raises CalledProcessError or OSError where that is not allowed."""
    name = f"kp{secrets.token_hex(4)}"
    net = f"10.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}"
    made = Namespace(name, f"{net}.1", f"{net}.2")
    _ip("netns", "add", name)
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", "hub0", "netns", name)
        _ip("addr", "add", f"{made.here}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "addr", "add", f"{made.there}/30", "dev", "hub0")
        _ip("-n", name, "link", "set", "hub0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", name)
        _ip("netns", "del", name)


def may_make_namespaces() -> bool:
    """Tell whether this machine and user allow it."""
    try:
        with namespace():
            return True
    except (OSError, subprocess.SubprocessError):
        return False
