"""Statements whose plan PostgreSQL keeps.

PostgreSQL plans a prepared statement anew for each execution for as long as it finds plans that know the
values cheaper, by its own estimate, than one that does not: with the few rows of a limit, the one key of an
array, a number near the end of an index. What fetches rows by key has one plan that is any good, and to make
it takes up to four times as long as to follow it. So its values are put where the planner does not look: then
both estimates are the same, and after five executions the plan stays.

https://www.postgresql.org/docs/current/sql-prepare.html
"""

from __future__ import annotations


def unseen(parameter: int, kind: str) -> str:
    """Return the SQL for a parameter of a type, whose value the planner does not know."""
    # The outer type tells `any(...)` that this is an array, and not a query for rows.
    return f"(select ${parameter}::{kind})::{kind}"
