"""Documents that are too large, or more than one, or hold a personal number."""

from __future__ import annotations

import time

import pytest
from graphql import get_introspection_query, parse

from app.domain.errors import BadUserInputError
from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.documents import Documents
from graphql_schema.limits import DocumentTooLargeError, check_document
from tests.scratch_graphql import NUMBER, SCHEMA

INTROSPECTION = get_introspection_query(
    descriptions=True,
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
)


def documents(*, introspection: bool = False, **bounds: int) -> Documents:
    return Documents(SCHEMA._schema, introspection=introspection, **bounds)


def refusal(text: str, *, introspection: bool = False) -> str:
    with pytest.raises(RequestFailedError) as failure:
        documents(introspection=introspection).prepare(text, None)
    assert NUMBER not in str(failure.value.errors)
    return failure.value.code


def bomb(size: int) -> str:
    doubling = " ".join(f"fragment f{i} on Query{{...f{i + 1} ...f{i + 1}}}" for i in range(size))
    return f"{{...f0}} {doubling} fragment f{size} on Query{{hello}}"


def nested(depth: int) -> str:
    return "{node{" + "child{" * (depth - 2) + "name" + "}" * depth


class TestDocumentLimits:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(nested(9), id="depth"),
            pytest.param("{" + " ".join(f"a{i}: hello" for i in range(16)) + "}", id="aliases"),
            pytest.param("{hello " + "@skip(if: false) " * 11 + "}", id="directives"),
            pytest.param("{" + "hello " * 201 + "}", id="fields"),
            pytest.param("{" + "hello " * 3_000 + "}", id="3,000 duplicate fields"),
            pytest.param(bomb(30), id="fragment bomb"),
            pytest.param("#" * 30_000 + "\n{hello}", id="a long comment"),
            pytest.param("{hello}" + "," * 30_000, id="many commas"),
            pytest.param('{echo(text: "' + "x" * 30_000 + '")}', id="a long text"),
        ],
    )
    def test_refuse_what_is_too_large(self, text: str) -> None:
        assert refusal(text) == "LIMIT_EXCEEDED"

    def test_count_what_fragments_bring(self) -> None:
        text = (
            "{node{...A}} fragment A on Node{child{child{child{...B}}}} "
            "fragment B on Node{child{child{child{child{name}}}}}"
        )
        with pytest.raises(DocumentTooLargeError):
            check_document(parse(text), introspection=False)

    @pytest.mark.parametrize("size", [10, 28, 55])
    def test_cost_little_for_a_fragment_bomb(self, size: int) -> None:
        document = parse(bomb(size))
        started = time.process_time()
        with pytest.raises(DocumentTooLargeError):
            check_document(document, introspection=False)
        assert time.process_time() - started < 0.05

    @pytest.mark.parametrize(
        "text",
        [
            "{...A} fragment A on Query{...A}",
            "{...A} fragment A on Query{hello ...B} fragment B on Query{...A}",
            "{...A}",
            "{hello} fragment A on Query{hello}",
        ],
    )
    def test_leave_cycles_and_unknown_fragments_to_validation(self, text: str) -> None:
        assert refusal(text) == "BAD_USER_INPUT"

    @pytest.mark.parametrize("text", [nested(8), "{" + "hello " * 190 + "}"])
    def test_let_the_largest_through(self, text: str) -> None:
        documents().prepare(text, None)


class TestIntrospection:
    def test_is_refused_when_off(self) -> None:
        assert refusal("{__schema{types{name}}}") == "BAD_USER_INPUT"
        assert refusal(INTROSPECTION) in {"BAD_USER_INPUT", "LIMIT_EXCEEDED"}

    def test_is_answered_when_on(self) -> None:
        assert documents(introspection=True).prepare(INTROSPECTION, None).text == INTROSPECTION

    def test_does_not_widen_the_limits_of_other_fields(self) -> None:
        assert refusal(nested(9).replace("{node", "{__typename node"), introspection=True) == "LIMIT_EXCEEDED"

    def test_may_not_recurse(self) -> None:
        text = '{__type(name: "Node"){fields{type{fields{type{fields{type{fields{name}}}}}}}}}'
        assert refusal(text, introspection=True) == "BAD_USER_INPUT"


class TestOneOperation:
    @pytest.mark.parametrize(
        "text", ["query A{hello} query B{hello}", "{hello} mutation{breakIt}", "fragment A on Query{hello}"]
    )
    def test_is_demanded(self, text: str) -> None:
        assert refusal(text) == "BAD_USER_INPUT"

    @pytest.mark.parametrize(
        ("text", "name"), [("{hello}", "A"), ("query A{hello}", "B"), ("query A{hello}", "")]
    )
    def test_bears_the_name_that_was_asked_for(self, text: str, name: str) -> None:
        with pytest.raises(RequestFailedError) as failure:
            documents().prepare(text, name)
        assert failure.value.errors[0]["extensions"]["field"] == "operationName"


class TestPersonalNumberLiteral:
    @pytest.mark.parametrize(
        "text",
        [
            f'{{follow(number: "{NUMBER}")}}',
            f"{{follow(number: {NUMBER})}}",
            f'{{report(messages: [{{brin: "25LX", colour: RED, year: 1, number: "{NUMBER}"}}])}}',
            f'query($n: PersonalNumber = "{NUMBER}"){{follow(number: $n)}}',
        ],
    )
    def test_is_refused(self, text: str) -> None:
        assert refusal(text) == "BAD_USER_INPUT"

    @pytest.mark.parametrize(
        "text", ["query($n: PersonalNumber){follow(number: $n)}", "{follow(number: null)}"]
    )
    def test_is_not_seen_in_variables(self, text: str) -> None:
        assert documents().prepare(text, None).text == text


class TestDocuments:
    def test_prepare_equal_texts_once(self) -> None:
        kept = documents()
        assert kept.prepare("{hello}", None) is kept.prepare("{hello}", None)

    def test_forget_the_oldest_beyond_their_bytes(self) -> None:
        size = documents().prepare("{  hello}", None).size
        kept = documents(max_bytes=2 * size)
        first = kept.prepare("{hello}", None)
        second = kept.prepare("{ hello}", None)
        assert kept.prepare("{hello}", None) is first
        kept.prepare("{  hello}", None)
        assert kept.prepare("{hello}", None) is first
        assert kept.prepare("{ hello}", None) is not second

    def test_raise_a_plain_refusal_below(self) -> None:
        with pytest.raises(BadUserInputError):
            check_document(parse("query A{a} query B{b}"), introspection=False)
