"""What a kept document takes in memory, beside what is counted for it."""

import gc
import itertools
import tracemalloc

import pytest

from graphql_schema.execution.documents import Documents
from graphql_schema.schema import schema

pytestmark = pytest.mark.slow

SMALL = """query($brin: BRIN!, $id: ID!) {
  registrationByApplicationId(brin: $brin, applicationId: $id) { status } }"""
PAGE = """query($brin: BRIN!, $after: String) { registrations(brin: $brin, first: 50, after: $after) {
  nodes { applicationId status statusSince programme { code name level } institution { brin name } }
  pageInfo { endCursor hasNextPage } } }"""
SWITCHES = """query($brin: BRIN!, $a: Boolean!, $b: Boolean!, $c: Boolean!, $d: Boolean!) {
  registrations(brin: $brin) { nodes { applicationId @include(if: $a) status @skip(if: $b)
  statusSince @include(if: $c) schoolYear @skip(if: $d) } } }"""


def prepared(documents, text):
    """Return a document with all its plans made."""
    found = documents.prepare(text, None)
    switches = "abcd" if found.plan.most > 1 else ""
    for values in itertools.product((False, True), repeat=len(switches)):
        assert found.plan.choose(dict(zip(switches, values, strict=True))) is not None
    return found


def taken(documents, text, first, count):
    """Return the bytes that so many copies of a document take, and the copies."""
    gc.collect()
    tracemalloc.start()
    kept = [prepared(documents, text + " " * copy) for copy in range(first, first + count)]
    gc.collect()
    in_all, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return in_all, kept


@pytest.mark.parametrize("text", [SMALL, PAGE, SWITCHES])
def test_is_counted_in_about_the_bytes_that_it_takes(text):
    documents = Documents(schema._schema, introspection=False)
    prepared(documents, text)
    few, _ = taken(documents, text, 10, 5)
    many, kept = taken(documents, text, 30, 25)
    each = (many - few) / 20  # without what is shared by all
    assert 0.6 * each < kept[0].size < 2.5 * each


def test_with_many_switches_keeps_no_plans():
    names = ["applicationId", "status", "statusSince", "schoolYear", "programmeYear"]
    fields = " ".join(f"{name} @include(if: ${name})" for name in names)
    declared = " ".join(f"${name}: Boolean!" for name in names)
    text = f"query($brin: BRIN!, {declared}) {{ registrations(brin: $brin) {{ nodes {{ {fields} }} }} }}"
    found = Documents(schema._schema, introspection=False).prepare(text, None)
    assert found.plan is not None
    for values in itertools.product((False, True), repeat=len(names)):
        assert found.plan.choose(dict(zip(names, values, strict=True))) is None
    assert found.plan._made == {}
