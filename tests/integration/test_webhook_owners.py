"""Who may have a webhook, where it may lead, and what its owner sees of it."""

from __future__ import annotations

import asyncio
import base64
import json
from uuid import UUID

import pytest

from app.domain.access import Role
from app.domain.errors import BadUserInputError, ConflictError, ForbiddenError, NotFoundError
from app.domain.webhook import WebhookProblem, WebhookState
from app.feed.webhook_sender import WebhookSender, trusted
from app.services.webhooks import WebhookService
from graphql_schema.schema import schema
from tests.factories.receiver import HOST, answer, listening
from tests.factories.webhooks import HOUR, LOCAL, MINUTE, PUBLIC, verified
from tests.factories.world import a_message, a_personal_number

pytestmark = pytest.mark.slow


class TestPrivateAddress:
    @pytest.mark.parametrize(
        "url",
        [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://10.0.0.1:8443/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.100.100.200/",
            "https://localhost/",
            "https://224.0.0.1/",
        ],
    )
    async def test_is_refused_at_registration(self, bench, url):
        service = WebhookService(
            bench.database, WebhookSender(trusted(None), allow_private=False), bench.secrets, bench.clock
        )
        with pytest.raises(BadUserInputError) as refused:
            await service.register(bench.world.os, url)
        assert refused.value.field == "input.url"
        assert await bench.world.count("webhook") == 0

    @pytest.mark.parametrize("found", [["10.0.0.1"], [PUBLIC, LOCAL], [LOCAL, PUBLIC], ["fd00::1"], []])
    async def test_behind_a_name_is_refused_at_registration(self, bench, found):
        bench.names.usual = found
        with pytest.raises(BadUserInputError):
            await bench.owners(allow_private=False).register(bench.world.os, f"https://{HOST}/")
        assert await bench.world.count("webhook") == 0

    async def test_is_refused_at_delivery_when_the_name_moved_there(self, bench, receiver, followed):
        bench.names.usual = [PUBLIC]
        await bench.owners(allow_private=False).register(bench.world.os, receiver.url)
        await bench.change(followed)
        for failures, rebound in enumerate(([LOCAL], [PUBLIC, LOCAL], ["::ffff:127.0.0.1"]), 1):
            bench.names.usual = rebound
            await bench.deliverer(allow_private=False).once()
            state = await bench.state()
            assert (state.last_problem, state.failures) == (WebhookProblem.ADDRESS_NOT_ALLOWED, failures)
            bench.clock.move(HOUR)
        assert receiver.connections == 0

    async def test_is_judged_and_used_from_one_look_up(self, bench, receiver, followed):
        """A name server that answers a public address first and a private one then wins nothing."""
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        looked = []

        async def resolve(host: str, port: int) -> list[str]:
            looked.append(host)
            return [PUBLIC] if len(looked) == 1 else [LOCAL]

        connected: list[str] = []

        class Watched(WebhookSender):
            async def _post_to(self, ip, address, headers, body):
                connected.append(ip)
                raise OSError

        delivery = bench.deliverer(Watched, allow_private=False)
        delivery._sender._resolve = resolve
        await delivery.once()
        assert looked == [HOST]
        assert connected == [PUBLIC]
        assert receiver.connections == 0

    async def test_without_tls_is_refused_unless_the_setting_allows_it(self, bench, followed):
        async with listening(None) as plain:
            url = plain.url.replace("https", "http")
            bench.names.usual = [PUBLIC]
            with pytest.raises(BadUserInputError):
                await bench.owners(allow_private=False).register(bench.world.os, url)
            bench.names.usual = [LOCAL]
            await bench.service.register(bench.world.os, url)
            await bench.change(followed)
            await bench.deliverer(allow_private=False).once()
            assert (await bench.state()).last_problem is WebhookProblem.ADDRESS_NOT_ALLOWED
            assert plain.connections == 0
            bench.clock.move(MINUTE)
            await bench.deliverer(allow_private=True).once()
            assert plain.sequences == [1]

    async def test_of_a_proxy_in_the_environment_is_not_used(self, bench, receiver, followed, monkeypatch):
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        await bench.deliverer().once()
        assert receiver.sequences == [1]


class TestSecret:
    async def test_is_shown_once_and_not_readable_in_the_database(self, bench, receiver):
        webhook, secret = await bench.service.register(bench.world.os, receiver.url)
        raw = base64.b64decode(secret.removeprefix("whsec_"))
        assert len(raw) == 32
        async with bench.database.connection() as connection:
            text = await connection.fetchval("select w::text from webhook w")
            sealed = await connection.fetchval("select sealed_secret from webhook")
        for readable in (secret, secret[6:], raw.hex()):
            assert readable not in text
        assert raw not in sealed
        assert secret not in f"{webhook} {await bench.state()}"

    async def test_of_one_webhook_does_not_open_in_another_row(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.service.register(bench.world.other_os, receiver.url)
        await bench.execute(
            """update webhook set sealed_secret =
               (select w.sealed_secret from webhook w where w.organisation_id = $1)""",
            bench.world.other_os.organisation_id,
        )
        await bench.change(followed)
        await bench.delivery.once()
        assert (await bench.state()).last_problem is WebhookProblem.SECRET_UNREADABLE

    async def test_is_another_one_after_a_new_registration(self, bench, receiver, followed):
        _, old = await bench.service.register(bench.world.os, receiver.url)
        await bench.service.remove(bench.world.os)
        _, new = await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        await bench.delivery.once()
        assert verified(receiver.arrivals[0], new)
        assert not verified(receiver.arrivals[0], old)


class TestOwner:
    async def test_alone_sees_resets_and_removes_it(self, bench, receiver, followed):
        await bench.service.register(bench.world.os, receiver.url)
        await bench.change(followed)
        receiver.answers.append(answer("410 Gone"))
        await bench.delivery.once()
        for stranger in (bench.world.other_os, bench.world.cambo):
            assert await bench.service.webhook(stranger) is None
            with pytest.raises(NotFoundError):
                await bench.service.reset(stranger)
            assert not await bench.service.remove(stranger)
        assert (await bench.state()).state is WebhookState.STOPPED

    async def test_is_never_who_has_no_feed(self, bench, receiver):
        operator = await bench.world.principal(Role.OPERATOR)
        for caller in (bench.world.sis, bench.world.institution, operator):
            for call in (
                bench.service.webhook(caller),
                bench.service.reset(caller),
                bench.service.remove(caller),
                bench.service.register(caller, receiver.url),
            ):
                with pytest.raises(ForbiddenError):
                    await call
        assert await bench.world.count("webhook") == 0

    async def test_shares_it_with_the_other_clients_of_the_organisation(self, bench, receiver):
        await bench.service.register(bench.world.os, receiver.url)
        colleague = await bench.world.principal(Role.OS, oin=bench.world.os.oin)
        assert (await bench.state(colleague)).url == receiver.url

    async def test_has_one_also_when_registering_twice_at_once(self, bench, receiver):
        results = await asyncio.gather(
            *(bench.service.register(bench.world.os, receiver.url) for _ in range(5)), return_exceptions=True
        )
        assert sum(isinstance(result, ConflictError) for result in results) == 4
        assert await bench.world.count("webhook") == 1


class TestInGraphQL:
    async def test_is_registered_seen_reset_and_removed(self, open_world, authority, receiver):
        world = await open_world(background=False, webhook_allow_private=True)
        await world.furnish()

        async def ask(document, by=None, **variables):
            context = world.hub.context(by or world.os)
            result = await schema.execute(document, variable_values=variables, context_value=context)
            return result.data, [error.original_error for error in result.errors or ()]

        register = """mutation ($url: String!) { registerWebhook(input: {url: $url}) {
          secret
          webhook { url state lastDeliveredNumber lastAttemptAt nextAttemptAt failures lastError } } }"""
        url = f"https://127.0.0.1:{receiver.port}/"
        data, errors = await ask(register, url=url)
        assert errors == []
        assert data["registerWebhook"]["secret"].startswith("whsec_")
        seen = {
            "url": url,
            "state": "ACTIVE",
            "lastDeliveredNumber": 0,
            "lastAttemptAt": None,
            "nextAttemptAt": None,
            "failures": 0,
            "lastError": None,
        }
        assert data["registerWebhook"]["webhook"] == seen
        fields = " ".join(seen)
        assert (await ask(f"{{ webhook {{ {fields} }} }}"))[0] == {"webhook": seen}
        assert (await ask("{ webhook { url } }", by=world.other_os))[0] == {"webhook": None}
        assert [error.code for error in (await ask(register, url=url))[1]] == ["CONFLICT"]
        reset = "mutation { resetWebhook { webhook { state } } }"
        assert (await ask(reset))[0] == {"resetWebhook": {"webhook": {"state": "ACTIVE"}}}
        assert [error.code for error in (await ask(reset, by=world.other_os))[1]] == ["NOT_FOUND"]
        remove = "mutation { removeWebhook { removed } }"
        assert (await ask(remove))[0] == {"removeWebhook": {"removed": True}}
        assert (await ask(remove))[0] == {"removeWebhook": {"removed": False}}


class TestHub:
    async def test_notifies_by_itself_and_the_receiver_finds_the_change(
        self, open_world, authority, receiver
    ):
        world = await open_world(webhook_allow_private=True, webhook_ca_file=authority.ca_file)
        await world.furnish()
        number = a_personal_number()
        await world.follow(number, "S-1")
        _, secret = await world.services.webhooks.register(
            world.os, f"https://localhost:{receiver.port}/hooks"
        )
        await world.report(a_message(personal_number=number))
        await receiver.came(1)
        (arrival,) = receiver.arrivals
        assert verified(arrival, secret)
        assert str(UUID(arrival.id)) == arrival.event["id"]
        assert arrival.event["dataref"].endswith("/graphql")
        page = await world.services.feed.page(world.os, arrival.sequence - 1, 10)
        assert [change.number for change in page.changes] == [arrival.sequence]
        assert number not in json.dumps(arrival.headers) + arrival.body.decode()
