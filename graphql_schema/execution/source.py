"""Python source that is generated once and run often, with the constants that it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable


class UncompilableError(Exception):
    """This stays with graphql-core; found out before anything runs."""


class AnomalyError(Exception):
    """A value is not what it nearly always is: graphql-core does it again, and finds the exact words."""


def _refuse() -> object:
    raise AnomalyError


class Source:
    """Collects functions and constants, and turns them into code.

    Nothing of a request's text becomes code but names that GraphQL's grammar allows, as literals.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._names: dict[str, object] = {"Anomaly": AnomalyError, "refuse": _refuse}
        self._constants: dict[int, str] = {}
        self._count = 0

    def name(self, prefix: str) -> str:
        """Return a name that is not taken."""
        self._count += 1
        return f"{prefix}{self._count}"

    def constant(self, value: object) -> str:
        """Return a name for an object."""
        known = self._constants.get(id(value))
        if known is None:
            known = self._constants[id(value)] = self.name("c")
            self._names[known] = value
        return known

    def function(self, arguments: str, body: list[str]) -> str:
        """Add a function and return its name."""
        name = self.name("f")
        self._lines.append(f"def {name}({arguments}):")
        self._lines.extend(f"    {line}" for line in body)
        return name

    def build(self, name: str) -> Callable[..., object]:
        """Return one of the functions."""
        code = compile("\n".join(self._lines), "<compiled selection>", "exec")
        namespace = dict(self._names)
        exec(code, namespace)  # noqa: S102 - generated here, from a schema and a validated document
        return cast("Callable[..., object]", namespace[name])
