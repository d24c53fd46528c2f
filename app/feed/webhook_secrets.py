"""The secrets of webhooks: shown once, sealed for the database (AES-GCM), opened to sign."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from uuid import UUID

_SECRET_BYTES = 32
_NONCE_BYTES = 12


class SecretUnreadableError(Exception):
    """This secret was sealed with another key, for another webhook, or was changed."""


class WebhookSecrets:
    """Makes, seals and opens secrets. A sealed one opens in its own row and column only."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @staticmethod
    def new() -> bytes:
        """Return a new secret of 32 bytes."""
        return secrets.token_bytes(_SECRET_BYTES)

    def seal(self, secret: bytes, organisation_id: int, webhook_id: UUID) -> bytes:
        """Return the secret as it is kept: nonce and ciphertext."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, _place(organisation_id, webhook_id))

    def open(self, sealed: bytes, organisation_id: int, webhook_id: UUID) -> bytes:
        """Return the secret; raise SecretUnreadableError."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, ciphertext, _place(organisation_id, webhook_id))
        except (InvalidTag, ValueError):
            raise SecretUnreadableError from None


def _place(organisation_id: int, webhook_id: UUID) -> bytes:
    return f"webhook.sealed_secret:{organisation_id}:{webhook_id}".encode()
