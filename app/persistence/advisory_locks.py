"""Every advisory lock of the hub, in one list, so that no two tasks take one key for theirs."""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class AdvisoryLock(IntEnum):
    """The keys. A lock of a session is held while its connection lives, the others by a transaction."""

    DISPATCHER = 0x6B6F707001  # of a session: who numbers
    NUMBERING = 0x6B6F707002
    STATISTICS = 0x6B6F707003  # of a session: who freezes the figures
    HOUSEKEEPER = 0x6B6F707004  # of a session: who does the background jobs
    PSEUDONYM_WRITERS = 0x6B6F7070_656C0001
