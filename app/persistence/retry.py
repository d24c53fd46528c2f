"""What says that a transaction lost against another one and may simply be done again."""

from __future__ import annotations

import asyncpg

CONTENTION = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.ForeignKeyViolationError,  # a student was removed meanwhile
)
