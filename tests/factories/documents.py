"""Documents and variables as clients might send them, drawn from a schema: mostly right, sometimes not.

Stands beside `drawn_documents` for what hypothesis-graphql cannot make: subscriptions, variables and literals
of a wrong type, too many and missing ones, fragments on wider types and on others, more directives than are
compiled, and arguments to which one certain hub has answers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    OperationType,
    Undefined,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from graphql import GraphQLArgument, GraphQLField, GraphQLSchema

_WRONG: tuple[object, ...] = ("x", 1.5, 2**31, True, None, [], {}, [None], {"unknown": 1}, "", -7, "RED")
_OF_SCALARS: dict[str, tuple[object, ...]] = {
    "Int": (0, 1, 2, 3, 50, -1),
    "Float": (0.5, 2, -1.25),
    "Boolean": (True, False),
    "ID": ("A-1", "b", 7),
    "String": ("", "text", 'ü "quoted" \\ ☃'),
    "UUID": ("5f0c3b5e-1111-4222-8333-444455556666",),
    "DateTime": ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+02:00"),
    "Date": ("2026-01-31",),
}


class Request(NamedTuple):
    """What a client sends."""

    text: str
    variables: dict[str, object]


class Enum(str):
    """A literal without quotes."""

    __slots__ = ()


class Maker:
    """Makes one document with its variables.

    `values` are what arguments and input fields of a name mostly get, instead of any value of their type.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        source: random.Random,
        values: Mapping[str, Sequence[object]] | None = None,
    ) -> None:
        self._schema = schema
        self._random = source
        self._values = values or {}
        self._fragments: dict[str, tuple[str, str]] = {}
        self._declared: dict[str, str] = {}
        self._variables: dict[str, object] = {}
        self._arguments: dict[tuple[str, str], str] = {}
        self._left = 30
        self._aliases = 12
        self._directives = 6

    def request(self, kind: OperationType, roots: Sequence[str] | None = None) -> Request:
        """Return a document of this kind; its fields are drawn from `roots`, or from all."""
        parent = self._schema.get_root_type(kind)
        assert parent is not None
        names = list(roots or parent.fields)
        count = 1 if kind is OperationType.SUBSCRIPTION else self._random.choice((1, 1, 1, 2, 3))
        chosen = [self._field(parent, self._random.choice(names), 4) for _ in range(count)]
        if kind is OperationType.QUERY and self._chance(0.05):
            chosen.append("__typename")
        body = " ".join(chosen)
        if kind is not OperationType.SUBSCRIPTION and self._chance(0.15):
            body = self._as_fragment(parent, body)
        declared = f"({', '.join(self._declared.values())})" if self._declared else ""
        fragments = "".join(
            f" fragment {name} on {type_} {{ {text} }}" for name, (type_, text) in self._fragments.items()
        )
        if self._chance(0.05):
            self._variables["unheardOf"] = 1
        return Request(f"{kind.value} Made{declared} {{ {body} }}{fragments}", self._variables)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _selections(self, type_: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        made = []
        for _ in range(self._random.choice((1, 2, 3, 4, 6))):
            self._left -= 1
            drawn = self._random.random()
            if drawn < 0.08:
                made.append(f"{self._alias('t')}__typename{self._directive()}")
            elif drawn < 0.16 and depth > 0:
                made.append(self._inline(type_, depth))
            elif drawn < 0.26 and depth > 0:
                made.append(self._spread(type_, depth))
            else:
                fields = [
                    name
                    for name, field in type_.fields.items()
                    if is_leaf_type(get_named_type(field.type)) or (depth > 0 and self._left > 0)
                ]
                made.append(self._field(type_, self._random.choice(fields or ["__typename"]), depth - 1))
        if made and self._chance(0.15):
            made.append(self._random.choice(made))  # said twice is merged
        return " ".join(made)

    def _field(self, parent: GraphQLObjectType | GraphQLInterfaceType, name: str, depth: int) -> str:
        if name == "__typename":
            return name
        field = parent.fields[name]
        alias = self._alias(name)
        inner = get_named_type(field.type)
        selection = ""
        arguments = self._given(parent, name, alias, field)
        if isinstance(inner, GraphQLObjectType | GraphQLInterfaceType):
            selection = f" {{ {self._selections(inner, depth)} }}"
        return f"{alias}{name}{arguments}{self._directive()}{selection}"

    def _alias(self, name: str) -> str:
        if self._aliases > 0 and self._chance(0.2):
            self._aliases -= 1
            return f"{name}{self._random.choice((1, 2))}: "
        return ""

    def _inline(self, type_: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        condition = self._random.choice(("", f" on {type_.name}", *self._wider(type_)))
        seen_as = self._schema.type_map[condition.removeprefix(" on ")] if condition else type_
        assert isinstance(seen_as, GraphQLObjectType | GraphQLInterfaceType)
        return f"...{condition}{self._directive()} {{ {self._selections(seen_as, depth - 1)} }}"

    def _wider(self, type_: GraphQLObjectType | GraphQLInterfaceType) -> list[str]:
        found = [interface.name for interface in type_.interfaces]
        if isinstance(type_, GraphQLInterfaceType):
            found += [one.name for one in self._schema.get_possible_types(type_)]
        return [f" on {name}" for name in found]

    def _spread(self, type_: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        known = [name for name, (of, _) in self._fragments.items() if of == type_.name]
        if known and self._chance(0.5):
            return f"...{self._random.choice(known)}{self._directive()}"
        return self._as_fragment(type_, self._selections(type_, depth - 1)) + self._directive()

    def _as_fragment(self, type_: GraphQLObjectType | GraphQLInterfaceType, text: str) -> str:
        name = f"F{len(self._fragments)}"
        self._fragments[name] = (type_.name, text)
        return f"...{name}"

    def _directive(self) -> str:
        if self._directives <= 0 or not self._chance(0.06):
            return ""
        self._directives -= 1
        name = self._random.choice(("skip", "include"))
        drawn = self._random.random()
        if drawn < 0.3:
            return f" @{name}(if: {self._random.choice(('true', 'false'))})"
        variable = f"s{self._random.choice((1, 2, 3, 4, 5))}" if drawn < 0.9 else "s1"
        if variable not in self._declared:
            default = self._random.choice(("", "", " = true", " = false"))
            self._declared[variable] = (
                f"${variable}: Boolean{self._random.choice(('!', '')) if default else '!'}"
            )
            self._declared[variable] += default
            self._supply(variable, (True, False), bool(default))
        return f" @{name}(if: ${variable})"

    def _given(
        self,
        parent: GraphQLObjectType | GraphQLInterfaceType,
        name: str,
        alias: str,
        field: GraphQLField,
    ) -> str:
        # Fields of one key must have equal arguments, so these are drawn once.
        place = (parent.name, alias or name)
        if place not in self._arguments:
            given = [
                f"{key}: {self._argument(key, argument)}"
                for key, argument in field.args.items()
                if self._chance(0.5) or is_required_argument(argument)
            ]
            self._arguments[place] = f"({', '.join(given)})" if given else ""
        return self._arguments[place]

    def _argument(self, name: str, argument: GraphQLArgument) -> str:
        if self._chance(0.5):
            return _literal(self._value(name, argument.type, wrong=0.02))
        variable = f"v{len(self._declared)}"
        type_ = str(argument.type)
        default = ""
        if self._chance(0.3):
            default = f" = {_literal(self._value(name, argument.type, wrong=0.01))}"
            type_ = self._random.choice((type_, type_.removesuffix("!")))
        elif argument.default_value is not Undefined and self._chance(0.3):
            type_ = type_.removesuffix("!")
        self._declared[variable] = f"${variable}: {type_}{default}"
        value = self._value(name, argument.type, wrong=0.05)
        self._supply(variable, (_plain(value),), bool(default) or not type_.endswith("!"))
        return f"${variable}"

    def _supply(self, variable: str, values: Sequence[object], optional: bool) -> None:
        drawn = self._random.random()
        if drawn < (0.4 if optional else 0.03):
            return
        if drawn > 0.95:
            self._variables[variable] = self._random.choice(_WRONG)
        else:
            self._variables[variable] = self._random.choice(values)

    def _value(self, name: str, type_: GraphQLInputType, wrong: float) -> object:
        usual = self._usual(name, type_.of_type if isinstance(type_, GraphQLNonNull) else type_, wrong)
        if self._chance(wrong):
            return self._random.choice(_WRONG)
        return None if not isinstance(type_, GraphQLNonNull) and self._chance(0.1) else usual

    def _usual(self, name: str, type_: GraphQLInputType, wrong: float) -> object:
        if name in self._values:
            return self._random.choice(self._values[name])
        if isinstance(type_, GraphQLList):
            items = [
                self._value(name, type_.of_type, wrong) for _ in range(self._random.choice((0, 1, 2, 3)))
            ]
            return items[0] if items and self._chance(0.1) else items  # one without its brackets
        if isinstance(type_, GraphQLInputObjectType):
            return {
                key: self._value(key, field.type, wrong)
                for key, field in type_.fields.items()
                if self._chance(0.6) or (is_required_input_field(field) and not self._chance(wrong))
            }
        if isinstance(type_, GraphQLEnumType):
            return Enum(self._random.choice(list(type_.values)))
        return self._random.choice(_OF_SCALARS.get(str(type_), _OF_SCALARS["String"]))


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, Enum) else value


def _literal(value: object) -> str:
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_literal(item)}' for name, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)
