"""Asking for registrations: who sees which."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from app.domain.access import Role
from app.domain.codes import Status
from app.domain.errors import BadUserInputError, ForbiddenError
from app.services.registrations import RegistrationFilter
from tests.factories.world import BRIN, FOREIGN_BRIN, OTHER_BRIN, a_message, a_personal_number

ALL = RegistrationFilter()


async def pages(world, by, wanted=ALL, size=7):
    """Return all registrations of all pages, in order."""
    found, after = [], None
    while page := await world.services.registrations.page(by, wanted, after, size):
        found += page
        last = page[-1]
        after = (last.reference if by.role is Role.OS else last.brin, last.key)
    return found


class TestOneRegistration:
    async def test_is_there_for_who_reported_it(self, world):
        message = a_message()
        (result,) = await world.report(message)
        registrations = world.services.registrations
        found = await registrations.by_application_id(world.sis, BRIN, message.application_id)
        assert found.id == str(result.registration.public_id)
        assert await registrations.by_public_id(world.sis, UUID(found.id)) == found
        assert await registrations.by_application_id(world.cambo, BRIN, message.application_id) == found
        assert await registrations.by_application_id(world.sis, OTHER_BRIN, message.application_id) is None

    async def test_is_not_there_for_a_vendor_that_did_not_report_it(self, world):
        message = a_message()
        await world.report(message)
        vendor = await world.principal(Role.SIS, brins=(BRIN,))
        registrations = world.services.registrations
        assert await registrations.by_application_id(vendor, BRIN, message.application_id) is None
        await world.report(replace(message, message_id=uuid4()), by=vendor)
        assert await registrations.by_application_id(vendor, BRIN, message.application_id) is not None

    async def test_is_not_there_for_a_vendor_whose_mandate_has_ended(self, world):
        message = a_message()
        await world.report(message)
        await world.services.clients.remove_mandate(world.sis.client_id, BRIN)
        registrations = world.services.registrations
        assert await registrations.by_application_id(world.sis, BRIN, message.application_id) is None
        assert await pages(world, world.sis) == []

    async def test_is_there_for_a_follower_as_long_as_it_follows(self, world):
        number = a_personal_number()
        (result,) = await world.report(a_message(personal_number=number))
        key = result.registration.public_id
        registrations = world.services.registrations
        assert await registrations.by_public_id(world.os, key) is None
        await world.follow(number, "S-1")
        assert (await registrations.by_public_id(world.os, key)).reference == "S-1"
        assert await registrations.by_public_id(world.other_os, key) is None
        await world.services.following.unfollow(world.os, ["S-1"])
        assert await registrations.by_public_id(world.os, key) is None

    @pytest.mark.parametrize("role", [Role.INSTITUTION, Role.REGION, Role.OPERATOR])
    async def test_is_forbidden_to_who_may_see_no_person(self, world, role):
        caller = await world.principal(role, brins=(BRIN,) if role is Role.INSTITUTION else ())
        with pytest.raises(ForbiddenError):
            await world.services.registrations.by_public_id(caller, uuid4())

    async def test_goes_to_its_own_caller_when_many_ask_at_once(self, world):
        number = a_personal_number()
        messages = [a_message(personal_number=number, application_id=f"A-{index}") for index in range(20)]
        await world.report(*messages)
        await world.follow(number, "S-1")
        registrations = world.services.registrations
        callers = [world.sis, world.os, world.other_os, world.cambo]
        asked = [(caller, message.application_id) for message in messages for caller in callers]
        answers = await asyncio.gather(
            *(registrations.by_application_id(caller, BRIN, key) for caller, key in asked)
        )
        for (caller, key), answer in zip(asked, answers, strict=True):
            if caller is world.other_os:
                assert answer is None
            else:
                assert answer.application_id == key
                assert answer.reference == ("S-1" if caller is world.os else None)


class TestPages:
    async def test_hold_everything_once_and_in_order(self, world):
        numbers = [a_personal_number() for _ in range(10)]
        messages = [
            a_message(brin=brin, personal_number=number) for number in numbers for brin in (BRIN, OTHER_BRIN)
        ]
        await world.report(*messages)
        await world.report(a_message(brin=FOREIGN_BRIN), by=world.other_sis)
        for index, number in enumerate(numbers[:6]):
            await world.follow(number, f"S-{index}")
        own = await pages(world, world.sis)
        assert len(own) == 20
        assert own == sorted(own, key=lambda one: (one.brin, one.key))
        assert len(await pages(world, world.cambo)) == 21
        followed = await pages(world, world.os, size=5)
        assert len({one.id for one in followed}) == len(followed) == 12
        assert [one.reference for one in followed] == sorted(one.reference for one in followed)
        assert await pages(world, world.other_os) == []

    async def test_are_filtered(self, world):
        await world.report(
            a_message(school_year=2025, status=Status.OFFERED),
            a_message(school_year=2026, status=Status.OFFERED),
            a_message(school_year=2026, status=Status.ENROLLED),
            a_message(school_year=2026, brin=OTHER_BRIN),
        )
        for by in (world.sis, world.cambo):
            assert len(await pages(world, by, RegistrationFilter(brin=BRIN))) == 3
            assert len(await pages(world, by, RegistrationFilter(school_year=2026))) == 3
            offered = RegistrationFilter(BRIN, 2026, (Status.OFFERED,))
            assert [one.status for one in await pages(world, by, offered)] == [Status.OFFERED]
        assert await pages(world, world.sis, RegistrationFilter(brin=FOREIGN_BRIN)) == []

    async def test_lack_nothing_but_the_times_that_nobody_wants(self, world):
        number = a_personal_number()
        await world.report(*(a_message(personal_number=number) for _ in range(3)))
        await world.follow(number, "S-1")
        page = world.services.registrations.page
        for by in (world.sis, world.cambo, world.os):
            for wanted in (ALL, RegistrationFilter(BRIN, 2026, (Status.RECEIVED,))):
                whole = await page(by, wanted, None, 10)
                assert len(whole) == 3
                for unread in ("status_since", "last_confirmed_at"):
                    less = await page(by, wanted, None, 10, frozenset({unread}))
                    assert less == [one._replace(**{unread: None}) for one in whole]

    async def test_have_histories_without_the_times_that_nobody_wants(self, world):
        await world.report(a_message(), a_message())
        histories = world.services.registrations.histories
        keys = [one.key for one in await pages(world, world.sis)]
        whole = await histories(keys, 0, 10)
        assert sum(map(len, whole.values())) == 2
        for unread in ("occurred_at", "recorded_at"):
            less = await histories(keys, 0, 10, frozenset({unread}))
            assert less == {
                key: [one._replace(**{unread: None}) for one in entries] for key, entries in whole.items()
            }

    @pytest.mark.parametrize("wanted", [RegistrationFilter(brin="x"), RegistrationFilter(school_year=10**9)])
    async def test_refuse_what_is_no_code(self, world, wanted):
        with pytest.raises(BadUserInputError):
            await world.services.registrations.page(world.sis, wanted, None, 10)
