"""What schemathesis puts where the schema has scalars of its own: what fits, and at times what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

if TYPE_CHECKING:
    from graphql import ValueNode

ANYTHING = st.text(max_size=20)


def texts(*patterns: str) -> st.SearchStrategy[ValueNode]:
    """Return string nodes: of these forms, or of none."""
    fitting = st.one_of([st.from_regex(pattern, fullmatch=True) for pattern in patterns])
    return st.one_of(fitting, fitting, ANYTHING).map(nodes.String)


schemathesis.graphql.scalar("BRIN", texts(r"[0-9]{2}[A-Z]{2}", "25LH"))
schemathesis.graphql.scalar("ProgrammeCode", texts(r"[0-9]{5}", "25604"))
schemathesis.graphql.scalar("UUID", st.one_of(st.uuids().map(str), ANYTHING).map(nodes.String))
schemathesis.graphql.scalar(
    "DateTime",
    st.one_of(st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"), ANYTHING).map(nodes.String),
)
schemathesis.graphql.scalar("Date", st.one_of(st.dates().map(str), ANYTHING).map(nodes.String))
# Refused in a document, whatever it is: what comes in variables is drawn in test_fuzzing.py.
schemathesis.graphql.scalar("PersonalNumber", st.just(nodes.Null))
