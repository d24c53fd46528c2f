"""The id by which a student stands in exported records: encrypted, and for one student always the same.

Only who holds the key file can tell whose it is. AES-SIV, since it may not differ from record to record.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_PLACE = [b"processing_record", b"subject"]


class SubjectIds:
    """Seals and opens the ids of data subjects."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(hmac.digest(key, b"aes-256-siv", "sha512"))

    def seal(self, student_id: int) -> str:
        """Return the id of a data subject."""
        return base64.urlsafe_b64encode(self._cipher.encrypt(student_id.to_bytes(8), _PLACE)).decode()

    def open(self, subject: str) -> int | None:
        """Return whose it is, or None when it is none of ours."""
        try:
            sealed = base64.urlsafe_b64decode(subject.encode("ascii"))
            return int.from_bytes(self._cipher.decrypt(sealed, _PLACE))
        except (binascii.Error, InvalidTag, ValueError):
            return None
