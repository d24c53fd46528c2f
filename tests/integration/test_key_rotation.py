"""New keys while hubs run: no restart, no student lost, none made twice."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.domain.codes import Status
from app.domain.errors import UnavailableError
from app.domain.status_message import Outcome
from app.persistence.students import OtherKeysError, StaleKeysError
from app.persistence.unit_of_work import unit_of_work
from app.services import key_files
from app.services.key_files import KeyFile
from app.services.keys import (
    OVERLAP_SECONDS,
    add_pseudonym_key,
    load_pseudonym_keys,
    load_signing_keys,
    rotate_signing_keys,
)
from app.services.pseudonym_rotation import PseudonymRotation
from tests.factories.world import a_message, a_personal_number

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from app.domain.personal_number import KeyChain
    from app.persistence.database import Database

pytestmark = pytest.mark.slow


@pytest.fixture
def key_files_of_its_own(tmp_path: Path) -> dict[str, Path]:
    """Make key files that a test may change."""
    files = {
        "pseudonym_key_file": tmp_path / "pseudonym-keys.json",
        "signing_keys_file": tmp_path / "signing-keys.json",
    }
    load_pseudonym_keys(files["pseudonym_key_file"], create=True)
    load_signing_keys(files["signing_keys_file"], create=True)
    return files


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hubs look at their files each time."""
    monkeypatch.setattr(key_files, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(key_files, "_URGENT_SECONDS", 0.0)


async def _students(database: Database) -> list[tuple[bytes, int]]:
    async with database.connection() as connection:
        rows = await connection.fetch("select pseudonym, key_version from student order by id")
    return [(row["pseudonym"], row["key_version"]) for row in rows]


async def _rotate(database: Database, path: Path, **options: float) -> int:
    rotation = PseudonymRotation(database, path, **{"grace_seconds": 0.0, **options})  # type: ignore[arg-type]
    keys, _ = await rotation.prepare()
    done = 0
    async for progress in rotation.run(keys):
        done = progress.done
    return done


async def _ensure(database: Database, keys: KeyChain, *numbers: str) -> dict[bytes, int]:
    async with unit_of_work(database) as unit:
        return await unit.students.ensure({keys.pseudonyms(number) for number in numbers}, keys)


@pytest.mark.usefixtures("at_once")
class TestRotationOfPseudonyms:
    async def test_goes_on_under_two_hubs_without_losing_or_doubling_anybody(
        self, open_world, key_files_of_its_own
    ) -> None:
        world = await open_world(**key_files_of_its_own)
        await world.furnish()
        other = await open_world(background=False, **key_files_of_its_own)
        await other.services.catalogue.refresh()
        numbers = sorted({a_personal_number() for _ in range(60)})
        sent = [a_message(personal_number=number) for number in numbers[:40]]
        await world.report(*sent)
        await world.follow(numbers[0], "r0")
        before = await _students(world.hub.database)

        async def keep_reporting() -> None:
            for number in numbers:
                for hub in (world, other):
                    results = await hub.report(a_message(personal_number=number), by=world.sis)
                    assert results[0].outcome is Outcome.ACCEPTED
                await asyncio.sleep(0)

        path = key_files_of_its_own["pseudonym_key_file"]
        rotating = _rotate(world.hub.database, path, bite=7, grace_seconds=0.5)
        _, done = await asyncio.gather(keep_reporting(), rotating)
        assert done >= 40
        after = await _students(world.hub.database)
        assert len(after) == 60
        assert {version for _, version in after} == {2}
        assert not {value for value, _ in after} & {value for value, _ in before}
        chain = load_pseudonym_keys(path, create=False)
        assert {value for value, _ in after} == {chain.pseudonym(number) for number in numbers}
        # What was followed before is still followed; what was sent before is still known.
        snapshot = await other.follow(numbers[0], "r0", by=world.os)
        assert snapshot.results[0].outcome == "ALREADY_FOLLOWED"
        again = await other.report(*sent, by=world.sis)
        assert {result.outcome for result in again} == {Outcome.DUPLICATE}
        changed = a_message(
            application_id=sent[0].application_id, personal_number=numbers[0], status=Status.ENROLLED
        )
        assert (await other.report(changed, by=world.sis))[0].code is None

    async def test_makes_one_student_of_the_same_one_under_both_versions(
        self, database, key_files_of_its_own
    ) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        old = load_pseudonym_keys(path, create=False)
        new = add_pseudonym_key(path)
        numbers = [a_personal_number() for _ in range(20)]

        async def switch() -> None:
            async with unit_of_work(database) as unit:
                await unit.pseudonym_keys.switch(new)

        async def tries(keys: KeyChain) -> None:
            for number in numbers:
                try:
                    await _ensure(database, keys, number)
                except StaleKeysError:
                    assert keys is old

        await asyncio.gather(*(tries(keys) for keys in (old, new, old, new)), switch())
        await _ensure(database, new, *numbers)
        assert len(await _students(database)) == 20

    async def test_refuses_new_students_of_a_hub_that_has_not_read_the_key(
        self, database, key_files_of_its_own
    ) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        old = load_pseudonym_keys(path, create=False)
        await _rotate(database, path)
        with pytest.raises(StaleKeysError):
            await _ensure(database, old, a_personal_number())
        assert await _students(database) == []

    async def test_refuses_a_hub_with_another_key_of_the_same_version(
        self, database, key_files_of_its_own, tmp_path
    ) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        copy = tmp_path / "copy.json"
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600)
        await _rotate(database, path)
        with pytest.raises(OtherKeysError):
            await _ensure(database, add_pseudonym_key(copy), a_personal_number())
        with pytest.raises(UnavailableError):
            await PseudonymRotation(database, copy).prepare()

    async def test_goes_on_where_it_was_broken_off(self, database, key_files_of_its_own) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        keys = load_pseudonym_keys(path, create=False)
        numbers = sorted({a_personal_number() for _ in range(10)})
        await _ensure(database, keys, *numbers)
        rotation = PseudonymRotation(database, path, grace_seconds=0, bite=3)
        chain, added = await rotation.prepare()
        assert added
        progress = rotation.run(chain)
        while (await anext(progress)).done == 0:
            continue
        await progress.aclose()
        assert {version for _, version in await _students(database)} == {1, 2}
        assert await _ensure(database, chain, *numbers)  # found under either version
        assert len(await _students(database)) == len(numbers)
        again, added = await rotation.prepare()
        assert not added
        assert again == chain
        done = [step.done async for step in rotation.run(again)][-1]
        assert 0 < done < len(numbers)
        assert {version for _, version in await _students(database)} == {2}

    async def test_can_be_done_again_and_again(self, database, key_files_of_its_own) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        keys = load_pseudonym_keys(path, create=False)
        number = a_personal_number()
        first = await _ensure(database, keys, number)
        for version in (2, 3):
            assert await _rotate(database, path) == 1
            assert (await _students(database))[0][1] == version
        assert await _ensure(database, load_pseudonym_keys(path, create=False), number) == first

    async def test_finds_the_students_of_a_backup_from_before_it(
        self, database, key_files_of_its_own
    ) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        number = a_personal_number()
        before = await _ensure(database, load_pseudonym_keys(path, create=False), number)
        assert await _ensure(database, add_pseudonym_key(path), number) == before

    async def test_waits_for_rows_that_are_in_use_and_takes_them_later(
        self, database, key_files_of_its_own
    ) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        await _ensure(database, load_pseudonym_keys(path, create=False), *(a_personal_number() for _ in "ab"))
        async with unit_of_work(database) as unit:
            await unit._connection.execute("select 1 from student limit 1 for key share")
            rotating = asyncio.create_task(_rotate(database, path))
            async with asyncio.timeout(10):
                while {version for _, version in await _students(database)} != {1, 2}:  # noqa: ASYNC110 - a table
                    await asyncio.sleep(0.02)
            assert not rotating.done()
        assert await rotating == 2


class TestKeyFile:
    def test_keeps_its_mode_and_is_never_half_written(self, key_files_of_its_own) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        path.chmod(0o400)
        before = load_pseudonym_keys(path, create=False)
        after = add_pseudonym_key(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        assert after.pseudonym_keys[:1] == before.pseudonym_keys
        assert after.digest_key == before.digest_key
        assert {entry.name for entry in path.parent.iterdir()} == {
            path.name, f".{path.name}.lock", "signing-keys.json", ".signing-keys.json.lock",
        }  # fmt: skip

    def test_is_read_again_when_it_changes_and_not_before(self, key_files_of_its_own) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        now = 0.0
        source = KeyFile(path, load_pseudonym_keys, monotonic=lambda: now)
        first = source.latest()
        add_pseudonym_key(path)
        assert source.latest() is first
        now = 1.0
        assert source.latest() is first
        assert source.latest(urgent=True).version == 2
        now = 4.0
        assert source.latest() is source.latest()

    @pytest.mark.parametrize("broken", [b"{", None])
    def test_goes_on_with_what_it_had_when_the_file_is_broken_or_gone(
        self, key_files_of_its_own, broken: bytes | None
    ) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        now = 0.0
        source = KeyFile(path, load_pseudonym_keys, create=True, monotonic=lambda: now)
        first = source.latest()
        whole = path.read_bytes()
        if broken is None:
            path.unlink()
        else:
            path.write_bytes(broken)
        now = 3.0
        assert source.latest() is first
        assert path.exists() is (broken is not None)  # nobody makes another one in its place
        path.write_bytes(whole)
        path.chmod(0o600)
        os.utime(path, (1, 1))
        now = 6.0
        assert source.latest() == first


class TestRotationOfSigningKeys:
    def test_publishes_then_signs_then_retires(self, key_files_of_its_own) -> None:
        path = key_files_of_its_own["signing_keys_file"]
        old = str(load_signing_keys(path, create=False).current.kid)
        keys, new, removed = rotate_signing_keys(path, 1000.0, 300)
        assert removed == []
        assert [str(keys.signing(at).kid) for at in (999.0, 1299.0, 1300.0)] == [old, old, new]
        assert keys.retired(1300 + OVERLAP_SECONDS - 1) == frozenset()
        assert keys.retired(1300 + OVERLAP_SECONDS) == {old}
        _, third, removed = rotate_signing_keys(path, 1300.0 + OVERLAP_SECONDS, 300)
        assert removed == [old]
        kept = [entry["kid"] for entry in json.loads(path.read_text())["keys"]]
        assert kept == [new, third]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_still_lets_the_first_sign_where_no_moments_are_given(self, tmp_path) -> None:
        path = tmp_path / "keys.json"
        first = load_signing_keys(path, create=True).current
        content = json.loads(path.read_text())
        content["keys"].append(
            json.loads(json.dumps(type(first).generate_key("P-256", auto_kid=True).as_dict(private=True)))
        )
        path.write_text(json.dumps(content))
        keys = load_signing_keys(path, create=False)
        assert keys.current.kid == first.kid
        assert len(keys.public_jwks()["keys"]) == 2


class TestKeyCommands:
    @pytest.fixture
    def hub_environment(
        self, database_url: str, key_files_of_its_own: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KOPPELPUNT_DATABASE_URL", database_url)
        for name, path in key_files_of_its_own.items():
            monkeypatch.setenv(f"KOPPELPUNT_{name.upper()}", str(path))

    @staticmethod
    async def typed(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, ["keys", *words])

    @pytest.mark.usefixtures("hub_environment")
    async def test_rotate_and_put_it_on_record(self, database, key_files_of_its_own) -> None:
        path = key_files_of_its_own["pseudonym_key_file"]
        before = load_pseudonym_keys(path, create=False)
        await _ensure(database, before, *(a_personal_number() for _ in "abc"))
        ended = await self.typed("rotate-pseudonyms", "--grace", "0")
        assert (ended.exit_code, ended.stdout) == (0, "3 students brought to version 2\n")
        ended = await self.typed("rotate")
        assert ended.exit_code == 0
        assert "signs from" in ended.stdout
        assert {version for _, version in await _students(database)} == {2}
        async with database.connection() as connection:
            rows = await connection.fetch("select event, actor, subject from security_record order by id")
            secrets = await connection.fetchval("select string_agg(r::text, '') from security_record r")
        assert [(row["event"], row["actor"]) for row in rows] == [
            ("PSEUDONYM_KEY_ADDED", "operator"),
            ("PSEUDONYMS_ROTATED", "operator"),
            ("SIGNING_KEY_ADDED", "operator"),
        ]
        for entry in json.loads(path.read_text())["pseudonym"]:
            assert entry["key"] not in ended.output + secrets

    @pytest.mark.usefixtures("hub_environment")
    async def test_end_in_one_line_when_the_file_is_not_there(self, key_files_of_its_own) -> None:
        for name, command in (
            ("pseudonym_key_file", "rotate-pseudonyms"),
            ("signing_keys_file", "rotate"),
        ):
            key_files_of_its_own[name].unlink()
            ended = await self.typed(command)
            assert ended.exit_code == 1
            assert len(ended.stderr.splitlines()) == 1
            assert not key_files_of_its_own[name].exists()
