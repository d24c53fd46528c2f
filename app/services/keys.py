"""The two key files: secrets behind pseudonyms, and keys that sign access tokens.

`{"pseudonym": [{"version": 1, "key": "<base64>"}, …], "digest": "<base64>"}`, 32 bytes each, oldest first;
`{"keys": [<private EC P-256 JWK with kid>, …]}`; `signs_from` in a key is the moment (seconds since the
epoch) from which it signs in place of the others, and without it the first signs. All are published until
no token of theirs can live any more.
Both must be readable by their owner only. Nothing here logs or shows what is in them.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hmac
import json
import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from app.domain.personal_number import KeyChain
from app.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from app.domain.personal_number import Keyed

_PSEUDONYM_SETTING = "KOPPELPUNT_PSEUDONYM_KEY_FILE"
_SIGNING_SETTING = "KOPPELPUNT_SIGNING_KEYS_FILE"
SIGNS_FROM = "signs_from"
# How long a key is taken after its successor began to sign: the longest life of a token, and some leeway.
OVERLAP_SECONDS = 3600 + 300
_KEY_BYTES = 32
_MOST_BYTES = 1 << 20
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

# One key in the file, one sub key for each purpose: the purposes must not be able to meet in a value.
_PSEUDONYM_PURPOSE = b"mbo-koppelpunt pseudonym"
_DIGEST_PURPOSE = b"mbo-koppelpunt message digest"
_SEALING_PURPOSE = b"mbo-koppelpunt webhook secrets"
_SUBJECT_PURPOSE = b"mbo-koppelpunt ids of data subjects"


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys of access tokens, and from when each signs (seconds since the epoch; 0: always)."""

    keys: tuple[ECKey, ...] = field(repr=False)
    signs_from: tuple[float, ...] = field(default=(), repr=False)

    def latest(self, *, urgent: bool = False) -> SigningKeys:  # noqa: ARG002 - see KeySource
        """Return itself: keys that stay as they are can stand for a file that changes."""
        return self

    @property
    def current(self) -> ECKey:
        """The key that signs now."""
        return self.signing(time.time())

    def signing(self, now: float) -> ECKey:
        """Return the key that signs at a moment: the one that began last; among equals the first."""
        starts = self._starts()
        begun = [number for number, start in enumerate(starts) if start <= now]
        return self.keys[max(begun, key=lambda number: (starts[number], -number), default=0)]

    def retired(self, now: float) -> frozenset[str]:
        """Return the `kid` of each key none of whose tokens can live any more."""
        starts = self._starts()
        successors = [min((later for later in starts if later > start), default=inf) for start in starts]
        return frozenset(
            str(key.kid)
            for key, successor in zip(self.keys, successors, strict=True)
            if successor + OVERLAP_SECONDS <= now
        )

    def by_id(self) -> dict[str, ECKey]:
        """Return the public parts by `kid`, without those that have retired."""
        retired = self.retired(time.time())
        return {
            str(key.kid): ECKey.import_key(key.as_dict(private=False))
            for key in self.keys
            if key.kid not in retired
        }

    def public_jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JWK set to publish, without those that have retired; it has no private part."""
        retired = self.retired(time.time())
        published = []
        for key in self.keys:
            if key.kid in retired:
                continue
            public = key.as_dict(private=False)
            members = {name: str(public[name]) for name in ("kty", "crv", "x", "y", "kid")}
            published.append({**members, "use": "sig", "alg": "ES256"})
        return {"keys": published}

    def _starts(self) -> tuple[float, ...]:
        return self.signs_from or (0.0,) * len(self.keys)


def load_pseudonym_keys(path: Path, *, create: bool) -> KeyChain:
    """Read the secrets behind pseudonyms; make them first if there are none and `create` is set.

    Raises SettingsError with one line that names the setting.
    """
    content = _read_or_make(path, _PSEUDONYM_SETTING, _new_pseudonym_keys if create else None)
    try:
        entries = content["pseudonym"]
        if not isinstance(entries, list) or [entry["version"] for entry in entries] != [
            *range(1, len(entries) + 1)
        ]:
            raise ValueError  # noqa: TRY301 - all that is wrong with the file gets one answer
        chain = tuple(_sub_key(entry["key"], _PSEUDONYM_PURPOSE) for entry in entries)
        digest = _sub_key(content["digest"], _DIGEST_PURPOSE)
        sealing = _sub_key(content["digest"], _SEALING_PURPOSE)
        subject = _sub_key(content["digest"], _SUBJECT_PURPOSE)
    except (LookupError, TypeError, ValueError):
        raise _wrong(_PSEUDONYM_SETTING, "is not a file of pseudonym keys") from None
    if not chain:
        raise _wrong(_PSEUDONYM_SETTING, "holds no key")
    return KeyChain(
        pseudonym_keys=chain,
        digest_key=digest,
        sealing_key=sealing,
        subject_key=subject,
        keyed=hmac_sha256,
    )


def hmac_sha256(key: bytes) -> Keyed:
    """Return HMAC-SHA256 by a key; for a short message the standard library takes twice the time."""
    begun = HMAC(key, SHA256())

    def finish(message: bytes) -> bytes:
        copied = begun.copy()
        copied.update(message)
        return copied.finalize()

    return finish


def load_signing_keys(path: Path, *, create: bool) -> SigningKeys:
    """Read the keys that sign access tokens; make one first if there are none and `create` is set.

    Raises SettingsError with one line that names the setting.
    """
    content = _read_or_make(path, _SIGNING_SETTING, _new_signing_keys if create else None)
    try:
        entries = [dict(key) for key in content["keys"]]  # type: ignore[attr-defined]
        starts = tuple(float(entry.pop(SIGNS_FROM, 0)) for entry in entries)
        keys = tuple(ECKey.import_key(entry) for entry in entries)
    except (JoseError, LookupError, TypeError, ValueError):
        raise _wrong(_SIGNING_SETTING, "is not a JWK set of EC keys") from None
    if not keys:
        raise _wrong(_SIGNING_SETTING, "holds no key")
    if not all(key.is_private and key.curve_name == "P-256" and key.kid for key in keys):
        raise _wrong(_SIGNING_SETTING, "must hold private EC P-256 keys, each with a kid")
    if len({key.kid for key in keys}) < len(keys):
        raise _wrong(_SIGNING_SETTING, "holds two keys with the same kid")
    return SigningKeys(keys, starts)


def add_pseudonym_key(path: Path) -> KeyChain:
    """Put a new key behind the others, in one step that no reader sees half of; owner and mode stay."""

    def extend(content: dict[str, object]) -> None:
        entries = content["pseudonym"]
        if isinstance(entries, list):
            entries.append({"version": len(entries) + 1, "key": _new_secret()})

    load_pseudonym_keys(path, create=False)  # so that what is rewritten is right to begin with
    _rewrite(path, _PSEUDONYM_SETTING, extend)
    return load_pseudonym_keys(path, create=False)


def rotate_signing_keys(path: Path, now: float, after_seconds: float) -> tuple[SigningKeys, str, list[str]]:
    """Add a key that signs `after_seconds` from now, and leave out those that have retired.

    Returns the keys as they are then, the `kid` of the new one, and those of the ones that are gone.
    """
    retired = load_signing_keys(path, create=False).retired(now)
    new = ECKey.generate_key("P-256", auto_kid=True)
    added = {**new.as_dict(private=True, use="sig", alg="ES256"), SIGNS_FROM: round(now + after_seconds)}

    def replace(content: dict[str, object]) -> None:
        entries = content["keys"]
        if isinstance(entries, list):
            content["keys"] = [*(entry for entry in entries if entry["kid"] not in retired), added]

    _rewrite(path, _SIGNING_SETTING, replace)
    return load_signing_keys(path, create=False), str(new.kid), sorted(retired)


def _rewrite(path: Path, setting: str, change: Callable[[dict[str, object]], None]) -> None:
    target = path.resolve()  # a link stays one
    try:
        with _alone(target):
            content = dict(_read_or_make(target, setting, None))
            change(content)
            status = target.stat()
            _write(target, json.dumps(content).encode(), status)
    except OSError as error:
        raise _wrong(setting, f"cannot be written ({os.strerror(error.errno or 0)})") from None


def _new_pseudonym_keys() -> dict[str, object]:
    return {"pseudonym": [{"version": 1, "key": _new_secret()}], "digest": _new_secret()}


def _new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _new_signing_keys() -> dict[str, object]:
    key = ECKey.generate_key("P-256", auto_kid=True)
    return {"keys": [key.as_dict(private=True, use="sig", alg="ES256")]}


def _sub_key(encoded: object, purpose: bytes) -> bytes:
    if not isinstance(encoded, str):
        raise TypeError
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError from None
    if len(key) != _KEY_BYTES:
        raise ValueError
    return hmac.digest(key, purpose, "sha256")


def _wrong(setting: str, what: str) -> SettingsError:
    return SettingsError(f"{setting}: the file {what}")


def _read_or_make(
    path: Path, setting: str, make: Callable[[], dict[str, object]] | None
) -> Mapping[str, object]:
    try:
        if make is not None and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _alone(path):
                if not path.exists():  # another worker may have been first
                    _write(path, json.dumps(make()).encode())
        content = json.loads(_read(path, setting))
    except FileNotFoundError:
        raise _wrong(setting, "does not exist") from None
    except OSError as error:
        raise _wrong(setting, f"cannot be used ({os.strerror(error.errno or 0)})") from None
    except ValueError:
        raise _wrong(setting, "is not JSON") from None
    if not isinstance(content, dict):
        raise _wrong(setting, "is not a JSON object")
    return content


def _read(path: Path, setting: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - of an open descriptor, so that what is judged is what is read
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _wrong(setting, "is not a regular file")
        if status.st_mode & _OTHERS:
            raise _wrong(setting, "can be read or written by others; give it mode 0600")
        return file.read(_MOST_BYTES)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, like: os.stat_result | None = None) -> None:
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor that is private from the start
            os.fchmod(descriptor, 0o600 if like is None else stat.S_IMODE(like.st_mode))
            if like is not None and (like.st_uid, like.st_gid) != (os.getuid(), os.getgid()):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        unfinished.rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            unfinished.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)  # a key that a crash takes back would make every pseudonym worthless
    finally:
        os.close(directory)
