"""Two hubs behind one list of addresses are renewed one after the other, while everybody works."""

import asyncio
import time

import asyncpg
import httpx
import pytest

from tests.faults.trial import Trial, a_step

SEED = 20261128
WAITING = (
    "select count(*) from pg_locks l join pg_stat_activity a using (pid)"
    " where not l.granted and a.application_name = 'koppelpunt'"
)


async def report(trial, client, index, status):
    """Report a step of a registration of this test's own to one hub."""
    message, variables = a_step("X-0", trial.students[0], status=status)
    trial.sent[message.key] = message
    client.headers["authorization"] = await trial.token(client, "sis")
    (result,) = await trial.post(client, trial.hub.addresses[index], [variables])
    return result["outcome"]


async def held_up(trial, client, index, status):
    """Report to one hub what cannot be written yet; return the request and what lets it go on."""
    holder = await asyncpg.connect(trial.hub.server.url)
    await holder.execute("begin; select 1 from registration where application_id = 'X-0' for update")
    request = asyncio.create_task(report(trial, client, index, status))
    while not await trial.hub.ask(WAITING):  # noqa: ASYNC110 - locks ring no bell
        await asyncio.sleep(0.02)
    return request, holder


async def refuses(address):
    """Wait until nobody listens there."""
    async with asyncio.timeout(15), httpx.AsyncClient() as http:
        while True:
            try:
                await http.get(f"{address}/health/live")
            except httpx.TransportError:
                return
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestRollingRestart:
    async def test_finishes_what_is_in_flight_says_1012_and_loses_and_repeats_nothing(self, tmp_path):
        async with (
            Trial.running(tmp_path, SEED, hubs=2, workers=1) as trial,
            httpx.AsyncClient(timeout=30) as client,
        ):
            await trial.goes_on()
            assert await report(trial, client, 0, "RECEIVED") == "ACCEPTED"
            for index, status in enumerate(("OFFERED", "RECEIVED")):
                request, holder = await held_up(trial, client, index, status)
                told = time.monotonic()
                stopping = asyncio.create_task(asyncio.to_thread(trial.hub.stop, index))
                await refuses(trial.hub.addresses[index])
                await holder.execute("rollback")
                assert await request == "ACCEPTED"
                assert await stopping == [0]
                assert time.monotonic() - told < 20
                holder.terminate()
                trial.hub.start(index)
                await trial.hub.ready()
                await trial.goes_on()
            assert set(trial.closed) == {(1012, "the server restarts")}
            assert await trial.finish() == []
