"""What clients and logs get to see of errors: never a value, and nothing of what nobody foresaw."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from app.domain.redaction import scrub
from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.operations import Operations
from tests.scratch_graphql import NUMBER, SCHEMA, Context

REPORT = "query($m: [MessageInput!]!){report(messages: $m)}"
FULL_WIDTH = NUMBER.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)})


async def ask(text: str, variables: dict[str, object] | None = None) -> list[dict[str, Any]]:
    """Return the errors of an operation; the number is in none of them, nor in a log."""
    operations = Operations(SCHEMA)
    with capture_logs() as logs:
        try:
            prepared = operations.prepare(text, None)
            if text.startswith("subscription"):
                errors: Any = []
                async for _ in operations.subscribe(prepared, variables, Context()):
                    pass
            else:
                errors = orjson.loads(await operations.execute(prepared, variables, Context())).get(
                    "errors", []
                )
        except RequestFailedError as failure:
            errors = failure.errors
    assert NUMBER not in str(errors)
    assert NUMBER not in str(logs)
    internal = [log["error_id"] for log in logs if log["event"] == "internal_error"]
    assert internal == [e["extensions"]["errorId"] for e in errors if e["extensions"]["code"] == "INTERNAL"]
    return list(errors)


class TestMasking:
    @pytest.mark.parametrize(
        "text",
        [
            "{broken}",
            "{missing}",
            "mutation{breakIt}",
            "subscription{brokenAtFirst}",
            "subscription{brokenMidway}",
        ],
    )
    async def test_hides_what_nobody_foresaw(self, text: str) -> None:
        (error,) = await ask(text)
        assert error["message"] == "Something went wrong"
        assert set(error["extensions"]) == {"code", "errorId"}

    @pytest.mark.parametrize("text", ["{refused}", "subscription{refused}"])
    async def test_shows_what_was_anticipated(self, text: str) -> None:
        (error,) = await ask(text)
        assert error["message"] == "Your role does not allow this."
        assert error["extensions"] == {"code": "FORBIDDEN"}

    async def test_logs_the_traceback_without_numbers(self) -> None:
        operations = Operations(SCHEMA)
        with capture_logs() as logs:
            await operations.execute(operations.prepare("{broken}", None), None, Context())
        (log,) = [log for log in logs if log["event"] == "internal_error"]
        assert "ValueError: cannot find *********" in log["traceback"]
        assert "in broken" in log["traceback"]


class TestDocumentErrors:
    @pytest.mark.parametrize(
        "text",
        [
            f'{{echo(text: "{NUMBER}" "x")}}',
            f'{{"{NUMBER}"}}',
            f"{{{NUMBER}}}",
            f'{{"""{NUMBER}"""}}',
            f'{{bare(value: "{NUMBER}")}}',
            f"{{bare(value: {NUMBER}{NUMBER})}}",
            f'{{report(messages: [{{brin: {NUMBER}, colour: "{NUMBER}", year: "{NUMBER}"}}])}}',
            f'{{report(messages: [{{brin: "{NUMBER}"}}])}}',
            f'{{report(messages: "{NUMBER}")}}',
            f"{{x{NUMBER}}}",
            f"{{hello ...x{NUMBER}}}",
            f"{{bare(x{NUMBER}: 1)}}",
            f'query($x: Int = "{NUMBER}"){{bare(value: $x)}}',
            f"query($x{NUMBER}: Int){{hello}}",
            f'{{echo(text: "\\u{{{NUMBER}}}")}}',
        ],
    )
    async def test_show_no_value(self, text: str) -> None:
        errors = await ask(text)
        assert errors
        assert {error["extensions"]["code"] for error in errors} == {"BAD_USER_INPUT"}

    async def test_name_what_is_missing(self) -> None:
        errors = await ask("{report(messages: [{colour: RED, year: 1}])}")
        assert "required field 'brin'" in errors[0]["message"]
        assert errors[0]["locations"]

    async def test_suggest_nothing(self) -> None:
        (error,) = await ask("{hallo}")
        assert error["message"] == "Cannot query field 'hallo' on type 'Query'."


class TestVariableErrors:
    async def test_name_every_path(self) -> None:
        good = {"brin": "25LX", "colour": "RED", "year": 2026}
        errors = await ask(
            REPORT,
            {
                "m": [
                    good,
                    {"colour": NUMBER, "year": NUMBER},
                    {**good, "brin": None, "year": 5.5},
                    {**good, "brin": [], "nonsense": 1, NUMBER: 2},
                    NUMBER,
                    None,
                ]
            },
        )
        assert [(error["extensions"]["field"], error["message"].split(" ", 1)[1]) for error in errors] == [
            ("variables.m[1].brin", "is required."),
            ("variables.m[1].colour", "is not one of the allowed values."),
            ("variables.m[1].year", "has the wrong type or form; Int is expected."),
            ("variables.m[2].brin", "is required."),
            ("variables.m[2].year", "has the wrong type or form; Int is expected."),
            ("variables.m[3].brin", "has the wrong type or form; String is expected."),
            ("variables.m[3].nonsense", "is not a field of this input."),
            ("variables.m[3].?", "is not a field of this input."),
            ("variables.m[4]", "has the wrong type; an object is expected."),
            ("variables.m[5]", "is required."),
        ]

    @pytest.mark.parametrize("variables", [None, {}, {"m": None}, {"x": NUMBER}])
    async def test_name_a_variable_that_is_missing(self, variables: dict[str, object] | None) -> None:
        (error,) = await ask(REPORT, variables)
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "variables.m"}

    async def test_are_fifty_at_most(self) -> None:
        assert len(await ask(REPORT, {"m": [{}] * 1_000})) == 50

    async def test_take_a_single_item_for_a_list(self) -> None:
        errors = await ask(REPORT, {"m": {"brin": "25LX", "colour": "RED"}})
        assert [error["extensions"]["field"] for error in errors] == ["variables.m.year"]

    async def test_cover_a_null_that_meets_an_argument(self) -> None:
        (error,) = await ask("query($v: Int = 1){bare(value: $v)}", {"v": None})
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "value"}


class TestScrub:
    @pytest.mark.parametrize(
        "text",
        [NUMBER, f"x{NUMBER}x", "99999034", "999.990.342", "9999 90 342", FULL_WIDTH],
    )
    def test_masks(self, text: str) -> None:
        assert not any(character.isdigit() for character in scrub(text))

    @pytest.mark.parametrize("text", ["2026-10-01", "25LX", "crebo 25604", "1,000 messages", "9999999"])
    def test_keeps_what_is_no_number(self, text: str) -> None:
        assert scrub(text) == text


class TestSubscription:
    @pytest.mark.parametrize("compiled", [True, False])
    async def test_leaves_nothing_behind_per_event(self, compiled: bool) -> None:
        operations = Operations(SCHEMA)
        prepared = operations.prepare("subscription($n: Int!){changes(upTo: $n){number text}}", None)
        if not compiled:
            prepared = replace(prepared, plan=None)
        events = operations.subscribe(prepared, {"n": 2_400}, Context())
        for _ in range(1_200):  # so many that what is kept for other subscribers is full
            await anext(events)
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(1_000):
            await anext(events)
        gc.collect()
        assert len(gc.get_objects()) - before < 200
        await events.aclose()
