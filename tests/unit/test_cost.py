"""What operations cost: fields times the items of pages and batches."""

from __future__ import annotations

import time

import orjson
import pytest
from graphql import GraphQLSchema, get_introspection_query

from graphql_schema.cost import MAX_COST
from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.documents import Documents
from graphql_schema.execution.operations import Operations
from graphql_schema.schema import schema

SCHEMA: GraphQLSchema = schema._schema
REPORT = "mutation($input: ReportStatusesInput!){reportStatuses(input: $input){results{outcome code}}}"
PAGE = "query($n: Int!){registrations(first: $n){nodes{id status}}}"
LARGE = (
    "{registrations(first: 200){nodes{id applicationId schoolYear status statusSince reference learningPath"
    " programmeYear programme{name} %s}}}"
)


def cost(text: str, **variables: object) -> int:
    return Documents(SCHEMA, introspection=True).prepare(text, None).cost.of(variables)


class TestCost:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("{viewer{clientId}}", 2),
            ("{a: feed{lastNumber} b: feed{lastNumber}}", 4),
            ("{viewer{mandates{brin}}}", 3),
            ("{registrations{nodes{id}}}", 2 + 50),
            ("{registrations(first: 10){nodes{id status} pageInfo{hasNextPage}}}", 2 + 20 + 2),
            ("{registrations(first: 10){edges{node{id}}}}", 2 + 20),
            (
                "{registrations(first: 10){nodes{id statusHistory(first: 5){nodes{kind}}}}}",
                2 + 10 * (1 + 2 + 5),
            ),
            ("{registrations(first: 10){...P}} fragment P on RegistrationConnection{nodes{id}}", 2 + 10),
            ("{registrations(first: 10){... @skip(if: true){nodes{id}}}}", 2 + 10),
            ("{registrations(first: 1000000000){nodes{id}}}", 2 + 1000),
            ("{registrations(first: -1){nodes{id}}}", 2),
            ("{statusChanges(after: 0){changes{number}}}", 2 + 100),
            ("mutation{unfollowStudents(input: {references: [1, 2, 3]}){unfollowed}}", 2 + 3),
            ("subscription{statusChanged{number}}", 2),
        ],
    )
    def test_is_fields_times_items(self, text: str, expected: int) -> None:
        assert cost(text) == expected

    @pytest.mark.parametrize(
        ("variables", "expected"),
        [({"n": 0}, 2), ({"n": 7}, 16), ({"n": 10**9}, 2002), ({"n": -5}, 2), ({"n": "x"}, 4), ({}, 102)],
    )
    def test_takes_the_size_of_a_page_from_a_variable(
        self, variables: dict[str, object], expected: int
    ) -> None:
        assert cost(PAGE, **variables) == expected

    def test_takes_the_default_of_a_variable(self) -> None:
        text = "query($n: Int! = 3){registrations(first: $n){nodes{statusHistory(first: $n){nodes{kind}}}}}"
        assert cost(text) == 2 + 3 * (2 + 3)
        assert cost(text, n=10) == 2 + 10 * (2 + 10)

    def test_grows_with_the_items_of_a_batch(self) -> None:
        assert cost(REPORT, input={"messages": [{}] * 10, "dryRun": True}) == 2 + 10 + 20
        assert cost(REPORT, input={"messages": [{}] * 1000}) == 2 + 3000
        assert cost(REPORT, input="x") == 2 + 3

    def test_looks_at_the_list_of_an_input_and_not_at_the_rest(self) -> None:
        text = (
            "mutation($m: [StatusMessageInput!]!, $d: Boolean!)"
            "{reportStatuses(input: {dryRun: $d, messages: $m}){results{code}}}"
        )
        assert cost(text, m=[{}] * 9, d=False) == 2 + 9 + 9

    def test_counts_the_ids_that_are_asked_for(self) -> None:
        text = "query($ids: [UUID!]!){messageResults(messageIds: $ids){code}}"
        assert cost(text, ids=["x"] * 8) == 1 + 8

    def test_lets_the_introspection_of_tools_through(self) -> None:
        assert cost(get_introspection_query()) < 500

    def test_is_evaluated_in_microseconds(self) -> None:
        prepared = Documents(SCHEMA, introspection=False).prepare(REPORT, None)
        variables: dict[str, object] = {"input": {"messages": [{}] * 1000}}
        started = time.process_time()
        for _ in range(1000):
            prepared.cost.of(variables)
        assert time.process_time() - started < 0.1


class TestTheMaximum:
    @pytest.mark.parametrize(
        "text",
        [
            LARGE % "statusHistory(first: 50){nodes{kind status occurredAt}}",
            "{statusChanges(after: 0, first: 1000){changes{number kind status reference}}}",
        ],
    )
    def test_lets_large_pages_through(self, text: str) -> None:
        operations = Operations(schema)
        assert operations.price(operations.prepare(text, None), None) <= MAX_COST

    def test_lets_the_largest_batch_through(self) -> None:
        operations = Operations(schema)
        assert operations.price(operations.prepare(REPORT, None), {"input": {"messages": [{}] * 1000}})

    def test_refuses_pages_of_pages_that_are_all_full(self) -> None:
        operations = Operations(schema)
        prepared = operations.prepare(
            LARGE % "statusHistory(first: 200){nodes{kind status occurredAt}}", None
        )
        with pytest.raises(RequestFailedError) as failure:
            operations.price(prepared, None)
        assert failure.value.code == "LIMIT_EXCEEDED"

    def test_is_told_with_the_cost(self) -> None:
        operations = Operations(schema, max_cost=100)
        assert orjson.loads(operations.with_cost(b'{"data":{"viewer":null}}', 7)) == {
            "data": {"viewer": None},
            "extensions": {"cost": {"requested": 7, "maximum": 100}},
        }
