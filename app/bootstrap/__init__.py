"""Wires all floors together; nobody else does."""

from __future__ import annotations

from app.bootstrap.configured import (
    clock,
    issuer_keys,
    load_keys,
    pseudonym_key_file,
    removal_ledger,
    retention_rule,
    signing_keys_file,
    vetting_rule,
)
from app.bootstrap.database import open_database
from app.bootstrap.hub import Hub

__all__ = [
    "Hub",
    "clock",
    "issuer_keys",
    "load_keys",
    "open_database",
    "pseudonym_key_file",
    "removal_ledger",
    "retention_rule",
    "signing_keys_file",
    "vetting_rule",
]
