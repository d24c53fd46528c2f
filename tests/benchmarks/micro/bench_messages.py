"""What a batch of 500 messages costs the hub before its statements: coerced, examined, judged.

In processor time; coerced also by graphql-core and Strawberry, which is what others do.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from graphql import OperationDefinitionNode, parse
from graphql.execution.values import get_variable_values
from strawberry.types.arguments import convert_argument

from app.domain.codes import StatusSource
from app.domain.personal_number import KeyChain
from app.domain.registration import Sender, judge
from app.services.candidates import examine
from app.services.keys import hmac_sha256
from graphql_schema.execution.inputs import compile_input
from graphql_schema.schema import schema
from graphql_schema.status_messages.inputs import ReportStatusesInput
from tests.factories.live_hub import a_message
from tests.factories.registrations import a_registration

if TYPE_CHECKING:
    from app.domain.status_message import StatusMessage

_MESSAGES = 500
_KEYS = KeyChain((b"p" * 32,), b"d" * 32, b"s" * 32, b"i" * 32, hmac_sha256)
_TYPE: Any = schema._schema.type_map["ReportStatusesInput"]
_DOCUMENT = "query ($input: ReportStatusesInput!) { viewer { __typename } }"


@pytest.fixture
def raw() -> dict[str, object]:
    """Messages as they come in JSON."""
    return {"messages": [a_message() for _ in range(_MESSAGES)]}


@pytest.fixture
def messages(raw: dict[str, object]) -> list[StatusMessage]:
    """Messages of the domain."""
    coerced: Any = compile_input(_TYPE)(raw)
    return list(coerced.to_domain())


class TestCoercion:
    @pytest.mark.benchmark(group=f"{_MESSAGES} messages coerced", timer=time.process_time)
    def test_compiled(self, benchmark, raw):
        coerced = benchmark(compile_input(_TYPE), raw)
        assert len(coerced.to_domain()) == _MESSAGES

    @pytest.mark.benchmark(group=f"{_MESSAGES} messages coerced", timer=time.process_time)
    def test_graphql_core(self, benchmark, raw):
        (operation,) = parse(_DOCUMENT).definitions
        assert isinstance(operation, OperationDefinitionNode)
        declared, registry = operation.variable_definitions, schema.schema_converter.scalar_registry

        def coerce() -> Any:
            values: Any = get_variable_values(schema._schema, declared or (), {"input": raw})
            return convert_argument(values.coerced["input"], ReportStatusesInput, registry, schema.config)

        assert len(benchmark(coerce).to_domain()) == _MESSAGES


@pytest.mark.benchmark(group=f"{_MESSAGES} messages, after coercion", timer=time.process_time)
class TestJudging:
    def test_examined_with_pseudonym_and_digest(self, benchmark, messages):
        source, now = StatusSource.SIS, datetime.now(UTC)
        found = benchmark(lambda: examine(messages, _KEYS, now, organisation_id=1, source=source))
        assert not any(one.defect for one in found)

    def test_judged(self, benchmark, messages):
        now = datetime.now(UTC)
        before, sender = now - timedelta(days=1), Sender(1, StatusSource.SIS, now)
        known = [a_registration(n, before, one.application_id) for n, one in enumerate(messages)]
        decided = benchmark(
            lambda: [judge(one, said, one.id, sender) for one, said in zip(known, messages, strict=True)]
        )
        assert len(decided) == _MESSAGES
