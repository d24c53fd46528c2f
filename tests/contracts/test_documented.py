"""What operators and vendors are told stands in the docs, and nothing else does."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.metrics import MetricWrapperBase
from pydantic_core import PydanticUndefined

from app import telemetry
from app.domain import errors
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCES = sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "graphql_schema").rglob("*.py")])
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = {"log", "_logger", "_LOGGER", "logger"}
# Our own closes; what RFC 6455 gives to every server is not ours to list.
OF_THE_PROTOCOL = {1000}


def table(name: str, heading: str | None = None) -> dict[str, list[str]]:
    """Return the rows of the tables of a page, or of one chapter, by their first cell in back quotes."""
    text = (DOCS / name).read_text(encoding="utf-8")
    if heading is not None:
        text = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        if found := re.fullmatch(r"\| `([^`]+)` \|(.*)\|", line):
            assert found[1] not in rows, f"{found[1]} stands twice in {name}"
            rows[found[1]] = [cell.strip() for cell in found[2].split("|")]
            assert all(rows[found[1]]), f"{found[1]} has an empty cell in {name}"
    return rows


def shown(default: object) -> str:
    if default is None or default == ():
        return "–"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node


def log_events() -> dict[str, str]:
    """Return every event that the code logs, with its level."""
    found = {}
    for path, call in calls():
        function = call.func
        if not (
            isinstance(function, ast.Attribute)
            and function.attr in LEVELS
            and isinstance(function.value, ast.Name)
            and function.value.id in LOGGERS
        ):
            continue
        event = call.args[0]
        assert isinstance(event, ast.Constant), f"{path}:{call.lineno}: the event is no constant"
        found[str(event.value)] = "error" if function.attr == "exception" else function.attr
    return found


def close_codes() -> set[int]:
    """Return every code with which the hub closes a websocket: those in `Close(…)`, and their constants."""
    found = set()
    for path in sorted((ROOT / "app" / "transport").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name) and isinstance(node.value.value, int)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Close":
                first = node.args[0]
                value = first.value if isinstance(first, ast.Constant) else constants.get(ast.unparse(first))
                found.add(value)
        if path.name == "connections.py":
            found |= {constants["RESTART"], constants["FULL"]}
    return {code for code in found if isinstance(code, int)} - OF_THE_PROTOCOL


class TestSettings:
    def test_are_documented_with_their_defaults(self) -> None:
        expected = {}
        for name, field in Settings.model_fields.items():
            assert field.default is not PydanticUndefined, name
            expected[f"KOPPELPUNT_{name.upper()}"] = shown(field.default)
        assert {name: cells[0] for name, cells in table("settings.md").items()} == expected

    def test_are_documented_in_the_words_of_the_code(self) -> None:
        for name, cells in table("settings.md").items():
            field = Settings.model_fields[name.removeprefix("KOPPELPUNT_").lower()]
            assert cells[1].startswith(str(field.description)), name


class TestMetrics:
    def test_are_documented(self) -> None:
        expected = {
            f"{metric._name}{'_total' if metric._type == 'counter' else ''}": metric._documentation
            for metric in vars(telemetry).values()
            if isinstance(metric, MetricWrapperBase)
        }
        assert len(expected) > 5
        assert {name: cells[-1] for name, cells in table("metrics.md").items()} == expected

    def test_are_measured_somewhere(self) -> None:
        names = [name for name, value in vars(telemetry).items() if isinstance(value, MetricWrapperBase)]
        code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
        assert [name for name in names if not re.search(rf"\b{name}\.(inc|set|observe|labels)\b", code)] == []

    def test_stand_in_one_place(self) -> None:
        elsewhere = [
            path
            for path, call in calls()
            if isinstance(call.func, ast.Name)
            and call.func.id in {"Counter", "Gauge", "Histogram", "Summary"}
            and path.name != "telemetry.py"
            and "prometheus_client" in path.read_text(encoding="utf-8")
        ]
        assert elsewhere == []


class TestErrors:
    def test_are_documented_by_code(self) -> None:
        codes = {error.code for error in errors.HubError.__subclasses__()} | {"INTERNAL"}
        assert set(table("errors.md", "Codes")) == codes

    def test_bear_no_code_of_their_own_elsewhere(self) -> None:
        documented = set(table("errors.md", "Codes"))
        waiting = [errors.HubError]
        while waiting:
            kinds = waiting.pop().__subclasses__()
            assert {kind.code for kind in kinds} <= documented
            waiting.extend(kinds)

    def test_that_close_a_websocket_are_documented(self) -> None:
        assert {int(code) for code in table("errors.md", "Websocket close codes")} == close_codes()

    def test_that_close_a_websocket_hold_those_of_the_contract(self) -> None:
        assert close_codes() >= {4400, 4401, 4403, 4408, 4409, 4429, 1012, 1013}


class TestLogs:
    def test_are_documented_by_event_and_level(self) -> None:
        assert {event: cells[0] for event, cells in table("logs.md").items()} == log_events()

    def test_are_written_at_constant_events(self) -> None:
        assert len(log_events()) > 5
