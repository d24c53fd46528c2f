"""The PostgreSQL that comes along: a server of our own, for whoever has none."""

from app.persistence.embedded.errors import EmbeddedServerError
from app.persistence.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "EmbeddedServerError"]
