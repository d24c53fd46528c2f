"""What is compiled answers as graphql-core does: the same bytes, whatever resolvers give or raise."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from graphql import OperationType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.operations import Operations, encode_errors
from graphql_schema.execution.plans import Plan
from tests.factories.documents import Maker, Request
from tests.factories.drawn_documents import FEATURES, drawn_requests, features
from tests.factories.equality import answered, comparable
from tests.factories.odd_schema import SCHEMA, Context

if TYPE_CHECKING:
    from graphql_schema.execution.documents import Prepared

# graphql-core leaves coroutines behind where a field fails beside them; those of plans have other names.
pytestmark = pytest.mark.filterwarnings(
    "ignore:coroutine '(GraphQLCoreConverter|Executor):RuntimeWarning",
    # The same, where the collector comes by in a frame without `__import__`, in which nothing can warn.
    "ignore:Exception ignored in. <coroutine object (GraphQLCoreConverter|Executor)"
    ":pytest.PytestUnraisableExceptionWarning",
)

OPERATIONS = Operations(SCHEMA)
_CORE = OPERATIONS._schema
_SCALARS = {
    "Code": st.sampled_from(("25604", "", "ü☃")),
    "DateTime": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
}
_COUNTS = [200, pytest.param(2_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]


def several(count: int) -> Any:
    return settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def prepared(request: Request) -> Prepared | None:
    try:
        return OPERATIONS.prepare(request.text, None)
    except RequestFailedError:
        return None  # not valid: nothing to run


class Compared(NamedTuple):
    """What a request called by plan and without, and whether its answer tells of an error."""

    compiled: list[str]
    plain: list[str]
    failed: bool


async def compare(request: Request, seed: int) -> Compared | None:
    """Run a request both ways; return None where graphql-core did it in any case."""
    found = prepared(request)
    if found is None:
        return None
    compiled, plain = Context(seed), Context(seed)
    first = await answered(OPERATIONS, found, request.variables, compiled)
    second = await answered(OPERATIONS, dataclasses.replace(found, plan=None), request.variables, plain)
    assert comparable(first) == comparable(second), request
    assert found.plan is not None
    plan = found.plan.choose(request.variables)
    if not isinstance(plan, Plan):
        return None
    assert len(compiled.calls) <= len(plan.roots), request  # none ran twice
    return Compared(compiled.calls, plain.calls, b'"errors":' in first)


def compared(request: Request, seed: int, kind: OperationType) -> list[str]:
    """Run a request both ways; return what of it has been compiled."""
    both = asyncio.run(compare(request, seed))
    if both is None:
        return ["not"]
    if kind is OperationType.MUTATION:
        assert both.compiled == both.plain
    return ["compiled", *features(request), "errors" if both.failed else "no errors"]


@pytest.mark.parametrize("count", _COUNTS)
class TestGenerated:
    @pytest.mark.parametrize("kind", [OperationType.QUERY, OperationType.MUTATION])
    def test_operations_are_answered_alike(self, count, kind):
        tally = Counter[str]()

        @several(count)
        @given(drawn_requests(_CORE, kind, _SCALARS), st.integers(0, 2**32))
        def run(request: Request, seed: int) -> None:
            tally.update(compared(request, seed, kind))

        run()
        assert tally["compiled"] > count / 5, tally
        assert all(tally[feature] for feature in FEATURES), tally
        assert tally["errors"] or count < 1_000, tally

    @pytest.mark.parametrize("kind", [OperationType.QUERY, OperationType.MUTATION])
    def test_operations_that_may_be_wrong_are_answered_alike(self, count, kind):
        tally = Counter[str]()

        @several(count // 2)
        @given(st.integers(0, 2**32), st.integers(0, 2**32))
        def run(document_seed: int, seed: int) -> None:
            tally.update(compared(Maker(_CORE, random.Random(document_seed)).request(kind), seed, kind))

        run()
        assert tally["compiled"] > count / 10, tally

    def test_events_are_answered_alike(self, count):
        @several(count)
        @given(st.integers(0, 2**32), st.integers(0, 2**32))
        def run(document_seed: int, seed: int) -> None:
            request = Maker(_CORE, random.Random(document_seed)).request(OperationType.SUBSCRIPTION)
            if found := prepared(request):
                first = asyncio.run(_events(found, request, seed))
                second = asyncio.run(_events(dataclasses.replace(found, plan=None), request, seed))
                assert list(map(comparable, first)) == list(map(comparable, second)), request

        run()


class TestPlans:
    async def test_fall_with_the_variables_of_skip_and_include(self):
        text = (
            "query ($a: Boolean!, $b: Boolean = false) { certain { id @skip(if: $a) "
            "... @include(if: $b) { cell { value } id } size @include(if: false) } }"
        )
        found = OPERATIONS.prepare(text, None)
        assert found.plan is not None
        plans = set()
        chosen: list[dict[str, object]] = [
            {"a": True},
            {"a": False},
            {"a": True, "b": True},
            {"a": False, "b": False},
        ]
        for variables in chosen:
            for seed in range(20):
                assert await compare(Request(text, variables), seed)
            plans.add(found.plan.choose(variables))
        assert len(plans) == 3
        assert found.plan.choose({"a": True, "b": None}) is None
        assert found.plan.choose({}) is None

    async def test_are_not_made_for_more_variables_than_four(self):
        names = "abcde"
        fields = " ".join(f"{name}: id @skip(if: ${name})" for name in names)
        declared = ", ".join(f"${name}: Boolean!" for name in names)
        found = OPERATIONS.prepare(f"query ({declared}) {{ certain {{ {fields} id }} }}", None)
        assert found.plan is not None
        assert found.plan.choose(dict.fromkeys(names, False)) is None

    async def test_leave_several_mutations_to_run_one_after_another(self):
        found = OPERATIONS.prepare(
            'mutation { a: drop(key: "1") { received } b: drop(key: "2") { received } }', None
        )
        assert found.plan is not None
        assert found.plan.choose({}) is None

    async def test_leave_events_whose_answer_depends_on_arguments(self):
        found = OPERATIONS.prepare("subscription { grown { later(first: 1) { id } } }", None)
        assert found.plan is not None
        assert found.plan.choose({}) is None

    async def test_cover_literals_of_scalars_and_enums(self):
        request = Request('{ things(count: 1, colour: BLEU, code: "25604") { name colour } }', {})
        for seed in range(20):
            assert await compare(request, seed)

    async def test_call_nothing_with_a_null_where_none_may_be(self):
        request = Request("query ($count: Int = 2) { things(count: $count) { id } }", {"count": None})
        assert await compare(request, 1) == ([], [], True)  # nothing was called

    async def test_answer_what_is_no_list_as_graphql_core_does(self):
        for kind in range(8):
            assert await compare(Request("query ($kind: Int!) { words(kind: $kind) }", {"kind": kind}), 1)


async def _events(found: Prepared, request: Request, seed: int) -> list[bytes]:
    heard = []
    try:
        async with aclosing(OPERATIONS.subscribe(found, request.variables, Context(seed))) as events:
            async for event in events:
                heard.append(event.payload)  # noqa: PERF401 - what was heard before an error counts
    except RequestFailedError as refused:
        heard.append(encode_errors(refused.errors))
    return heard
