"""GraphQL over HTTP as its audits see it: npm's graphql-http, which wrote the reference server too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.factories.node import NODE, installed

if TYPE_CHECKING:
    from tests.factories.live_hub import LiveClient

AUDITS = Path(__file__).with_name("audits.mjs")
# Addresses end up in logs, so GET is answered 405 (`docs/errors.md`): these ask for it.
ASK_FOR_GET = {"5A70", "D6D5", "6A70"}


class TestAudits:
    def test_all_pass_but_for_those_that_ask_for_get(self, introspective: LiveClient, tmp_path: Path) -> None:
        environment = {
            "GRAPHQL_URL": f"{introspective.hub.url}/graphql",
            "ACCESS_TOKEN": introspective.token,
        }
        ended = subprocess.run(
            [NODE, installed(AUDITS, tmp_path)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        audits = [json.loads(line) for line in ended.stdout.splitlines()]
        assert len(audits) >= 61
        failed = {audit["id"]: audit for audit in audits if audit["status"] != "ok"}
        assert set(failed) == ASK_FOR_GET, failed
        assert all("GET" in audit["name"] for audit in failed.values())
