"""The two key files."""

from __future__ import annotations

import base64
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from joserfc.jwk import ECKey, RSAKey

from app.services.keys import load_pseudonym_keys, load_signing_keys
from app.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

_SECRET = base64.b64encode(bytes(range(32))).decode()
_OTHER = base64.b64encode(bytes(range(1, 33))).decode()


def _file(folder: Path, content: object) -> Path:
    path = folder / "keys.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(0o600)
    return path


def _pseudonyms(*keys: str, digest: str = _SECRET) -> dict[str, object]:
    return {
        "pseudonym": [{"version": number, "key": key} for number, key in enumerate(keys, 1)],
        "digest": digest,
    }


def _private(curve: str = "P-256", key_id: str | None = "a") -> dict[str, object]:
    key = ECKey.generate_key(curve, parameters={"kid": key_id} if key_id else None)
    return dict(key.as_dict(private=True))


class TestPseudonymKeys:
    def test_are_made_once_and_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "keys.json"
        made = load_pseudonym_keys(path, create=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        again = load_pseudonym_keys(path, create=True)
        assert again == made
        assert made.version == 1
        assert again.pseudonym("999990342") == made.pseudonym("999990342")

    def test_are_the_same_for_workers_that_start_together(self, tmp_path: Path) -> None:
        path = tmp_path / "keys.json"
        with ThreadPoolExecutor(8) as workers:
            made = list(workers.map(lambda _: load_pseudonym_keys(path, create=True), range(8)))
        assert all(keys == made[0] for keys in made)
        assert {entry.name for entry in tmp_path.iterdir()} == {"keys.json", ".keys.json.lock"}

    def test_are_not_used_as_they_stand_in_the_file(self, tmp_path: Path) -> None:
        keys = load_pseudonym_keys(_file(tmp_path, _pseudonyms(_SECRET)), create=False)
        assert base64.b64decode(_SECRET) not in {*keys.pseudonym_keys, keys.digest_key}
        assert keys.pseudonym_keys[0] != keys.digest_key

    def test_chain_when_they_are_rotated(self, tmp_path: Path) -> None:
        before = load_pseudonym_keys(_file(tmp_path, _pseudonyms(_SECRET)), create=False)
        after = load_pseudonym_keys(_file(tmp_path, _pseudonyms(_SECRET, _OTHER)), create=False)
        assert after.version == 2
        assert after.pseudonym_keys[0] == before.pseudonym_keys[0]
        assert after.pseudonym("999990342") != before.pseudonym("999990342")

    def test_are_not_shown(self, tmp_path: Path) -> None:
        keys = load_pseudonym_keys(_file(tmp_path, _pseudonyms(_SECRET)), create=False)
        assert repr(keys) == "KeyChain()"

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"\xff",
            [],
            {},
            _pseudonyms(),
            _pseudonyms("c2hvcnQ="),
            _pseudonyms("not base64!"),
            _pseudonyms(_SECRET, digest="c2hvcnQ="),
            {"pseudonym": [{"version": 2, "key": _SECRET}], "digest": _SECRET},
            {"pseudonym": [{"version": 1, "key": 1}], "digest": _SECRET},
            {"pseudonym": {"version": 1}, "digest": _SECRET},
            {"pseudonym": [1], "digest": _SECRET},
        ],
        ids=range(13),
    )
    def test_refuse_a_wrong_file_in_one_line(self, tmp_path: Path, content: object) -> None:
        path = _file(tmp_path, content)
        before = path.read_bytes()
        with pytest.raises(SettingsError, match=r"^KOPPELPUNT_PSEUDONYM_KEY_FILE: the file [^\n]+$"):
            load_pseudonym_keys(path, create=True)
        assert path.read_bytes() == before

    def test_are_not_made_unless_asked(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="does not exist"):
            load_pseudonym_keys(tmp_path / "keys.json", create=False)
        assert list(tmp_path.iterdir()) == []


class TestSigningKeys:
    def test_are_made_once_and_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "signing.json"
        made = load_signing_keys(path, create=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert load_signing_keys(path, create=False).current.kid == made.current.kid
        assert made.public_jwks()["keys"][0].keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert not made.by_id()[str(made.current.kid)].is_private
        assert repr(made) == "SigningKeys()"

    def test_sign_with_the_first(self, tmp_path: Path) -> None:
        path = _file(tmp_path, {"keys": [_private(key_id="new"), _private(key_id="old")]})
        keys = load_signing_keys(path, create=False)
        assert keys.current.kid == "new"
        assert keys.by_id().keys() == {"new", "old"}

    @pytest.mark.parametrize(
        "content",
        [
            b"no",
            {"keys": []},
            {"keys": {}},
            {"keys": [1]},
            {"keys": [{"kty": "EC"}]},
            {"keys": [_private("P-384")]},
            {"keys": [_private(key_id=None)]},
            {"keys": [_private(), _private()]},
            {"keys": [dict(ECKey.generate_key("P-256", private=False, auto_kid=True).as_dict())]},
            {"keys": [dict(RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True))]},
        ],
        ids=range(10),
    )
    def test_refuse_a_wrong_file_in_one_line(self, tmp_path: Path, content: object) -> None:
        with pytest.raises(SettingsError, match=r"^KOPPELPUNT_SIGNING_KEYS_FILE: the file [^\n]+$"):
            load_signing_keys(_file(tmp_path, content), create=True)


class TestKeyFiles:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
    @pytest.mark.parametrize("load", [load_pseudonym_keys, load_signing_keys])
    def test_are_for_their_owner_only(self, tmp_path: Path, mode: int, load: Callable[..., object]) -> None:
        path = _file(tmp_path, {})
        path.chmod(mode)
        with pytest.raises(SettingsError, match="mode 0600"):
            load(path, create=True)

    @pytest.mark.parametrize("load", [load_pseudonym_keys, load_signing_keys])
    def test_are_files(self, tmp_path: Path, load: Callable[..., object]) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(SettingsError, match="not a regular file"):
            load(tmp_path / "pipe", create=False)
        with pytest.raises(SettingsError, match=r"not a regular file|cannot be used"):
            load(tmp_path, create=False)
        with pytest.raises(SettingsError, match=r"cannot be used|does not exist"):
            load(Path("/proc/none/keys.json"), create=True)
