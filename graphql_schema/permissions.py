"""Fields that name the scope they need.

The use case behind each field demands it; a test walks the schema, finds every root field's scope, and calls
each without it. `scope=None` marks the few fields that every caller may ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from app.domain.access import Scope


class FieldMetadata(TypedDict):
    """What a field says about itself."""

    scope: Scope | None


def needs(scope: Scope | None) -> FieldMetadata:
    """Return the metadata of a field that needs a scope."""
    return {"scope": scope}
