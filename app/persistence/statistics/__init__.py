"""The cube: what each student adds to it, what removed students have left in it, what was frozen."""

from app.persistence.statistics.repository import Statistics
from app.persistence.statistics.session import refreshing

__all__ = ["Statistics", "refreshing"]
