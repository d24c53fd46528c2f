"""Walks the schema: each root field names its scope; whoever lacks it gets nothing and changes nothing."""

from __future__ import annotations

import pytest
from graphql import GraphQLObjectType, get_named_type

from app.domain.access import SCOPES_OF_ROLE, Principal, Role, Scope
from tests.contracts.root_fields import ANSWERS, BUILT, CALLS, FIELDS, ROOTS, call, rows
from tests.factories.world import BRIN

# What tells of one person, or of one message about one.
PERSONAL = {
    "DifferentRegistration",
    "FollowResult",
    "FollowedStudent",
    "MessageResult",
    "Registration",
    "RegistrationOnDate",
    "StatusChange",
    "StatusHistoryEntry",
}
NEVER_A_PERSON = (Role.INSTITUTION, Role.REGION, Role.OPERATOR)


class TestRootFields:
    def test_are_all_called_here(self) -> None:
        assert set(CALLS) == set(FIELDS)

    @pytest.mark.parametrize("name", FIELDS)
    def test_name_their_scope(self, name: str) -> None:
        metadata = FIELDS[name].metadata
        assert "scope" in metadata, "give the field metadata=needs(...)"
        scope = metadata["scope"]
        assert isinstance(scope, Scope) or (scope is None and name == "Query.viewer")

    @pytest.mark.parametrize("root", ROOTS)
    def test_are_those_of_the_built_schema(self, root: str) -> None:
        built = BUILT.type_map[root]
        assert isinstance(built, GraphQLObjectType)
        assert {f"{root}.{name}" for name in built.fields} == {n for n in FIELDS if n.startswith(f"{root}.")}

    async def test_refuse_who_lacks_the_scope_and_nobody_else(self, world) -> None:
        callers = {role: await world.principal(role, (BRIN,) if role in {Role.SIS, Role.INSTITUTION} else ())
                   for role in Role}  # fmt: skip
        before = await rows(world)
        wrong = []
        for role, caller in callers.items():
            for name, field in FIELDS.items():
                scope = field.metadata["scope"]
                if scope is None or scope in SCOPES_OF_ROLE[role]:
                    continue
                code = await call(caller, world, name)
                if code != "FORBIDDEN":
                    wrong.append((role, name, code))
        assert wrong == []
        assert await rows(world) == before
        for role, caller in callers.items():
            for name, field in FIELDS.items():
                scope = field.metadata["scope"]
                if scope is None or scope in SCOPES_OF_ROLE[role]:
                    code = await call(caller, world, name)
                    if code != ANSWERS.get(name):
                        wrong.append((role, name, code))
        assert wrong == []

    async def test_refuse_a_token_without_the_scope_although_the_role_has_it(self, world) -> None:
        before = await rows(world)
        for role in Role:
            brins = (BRIN,) if role is Role.INSTITUTION else ()
            whole = await world.principal(role, brins)
            known = await rows(world)
            for name, field in FIELDS.items():
                scope = field.metadata["scope"]
                if scope is None:
                    continue
                narrow = Principal(
                    whole.client_id,
                    whole.organisation_id,
                    whole.oin,
                    whole.organisation_name,
                    role,
                    whole.scopes - {scope},
                    whole.brins,
                    whole.region,
                )
                assert await call(narrow, world, name) == "FORBIDDEN", (role, name)
            assert await rows(world) == known
        after = await rows(world)
        assert {name for name in after if after[name] != before[name]} <= {
            "organisation", "client", "own_institution", "feed",
        }  # fmt: skip


class TestPersonalData:
    @staticmethod
    def reachable(start: object) -> set[str]:
        """Return the names of all types that an answer of this type can hold."""
        found: set[str] = set()
        waiting = [get_named_type(start)]  # type: ignore[call-overload]
        while waiting:
            type_ = waiting.pop()
            if type_.name in found:
                continue
            found.add(type_.name)
            if isinstance(type_, GraphQLObjectType):
                waiting.extend(get_named_type(field.type) for field in type_.fields.values())
        return found

    @pytest.mark.parametrize("role", NEVER_A_PERSON)
    def test_is_out_of_reach_of_who_may_never_see_a_person(self, role: Role) -> None:
        for name, field in FIELDS.items():
            root, _, field_name = name.partition(".")
            scope = field.metadata["scope"]
            if scope is not None and scope not in SCOPES_OF_ROLE[role]:
                continue
            built = BUILT.type_map[root]
            assert isinstance(built, GraphQLObjectType)
            assert not self.reachable(built.fields[field_name].type) & PERSONAL, name

    def test_is_in_the_types_named_here(self) -> None:
        assert set(BUILT.type_map) >= PERSONAL

    def test_leaves_no_type_with_a_reference_or_an_application_out(self) -> None:
        telling = {
            name
            for name, type_ in BUILT.type_map.items()
            if isinstance(type_, GraphQLObjectType) and {"reference", "applicationId"} & set(type_.fields)
        }
        assert telling <= PERSONAL

    def test_never_holds_a_personal_number(self) -> None:
        for type_ in BUILT.type_map.values():
            if isinstance(type_, GraphQLObjectType):
                for name, field in type_.fields.items():
                    assert get_named_type(field.type).name != "PersonalNumber", f"{type_.name}.{name}"
