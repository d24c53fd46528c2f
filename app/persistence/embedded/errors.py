"""What can go wrong with the embedded server, in one line that an operator can act on."""

from __future__ import annotations


class EmbeddedServerError(Exception):
    """The embedded PostgreSQL cannot be used; the message says why, on one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
