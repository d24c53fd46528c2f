"""Gentle traffic without an end, for the demo: a burst, then a message now and then as of this moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from app.simulation.client import HubClient
from app.simulation.receiving import Receiver
from app.simulation.run import school_year, world_of
from app.simulation.sending import Ledger, Senders
from app.simulation.subscriber import Subscriber
from app.simulation.traffic import generate, restamped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import httpx

    from app.simulation.credentials import Credentials
    from app.simulation.traffic import PlannedMessage, Traffic

_SHOWN = """
number kind reference status previousStatus registration { institution { name } programme { code name } }
"""
_REGISTRATIONS_AT_ONCE = 30
_BATCH = 500
_SECOND = timedelta(seconds=1)


class LiveTraffic:
    """Plays SIS vendors, CAMBO and transfer systems; nothing is kept but what is under way."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        clients: Sequence[Credentials],
        programmes: tuple[str, ...],
        seed: int,
        *,
        favourite: str | None = None,
    ) -> None:
        self._clients = {one.name: HubClient(http, one) for one in clients}
        self._world = world_of(clients, programmes, favourite)
        self._random = Random(seed)

    @property
    def watched(self) -> str:
        """The transfer system whose feed `watch` shows."""
        return self._world.transfer_systems[0]

    async def burst(self, registrations: int) -> int:
        """Report about this many registrations as fast as it goes; return how many messages that were."""
        traffic = await self._new_traffic(registrations)
        ledger = Ledger()
        await Senders(self._clients, ledger, batch=_BATCH, concurrency=2).send(traffic.messages)
        return ledger.messages

    async def play(self, rate: float) -> None:
        """Send about `rate` messages a second for ever, each as of the moment when it is sent."""
        while True:
            traffic = await self._new_traffic(_REGISTRATIONS_AT_ONCE)
            senders = Senders(self._clients, Ledger(), batch=1, concurrency=1)
            sent: dict[str, PlannedMessage] = {}
            latest: dict[str, datetime] = {}
            for planned in traffic.messages:
                await asyncio.sleep(self._random.expovariate(rate))
                message = sent.get(planned.message_id)
                if message is None:
                    now = datetime.now(UTC).replace(microsecond=0)
                    before = latest.get(planned.application_id)
                    moment = now if before is None else max(now, before + _SECOND)
                    latest[planned.application_id] = moment
                    message = sent[planned.message_id] = restamped(planned, moment)
                await senders.send_batch([message])

    async def watch(self, show: Callable[[str], None]) -> None:
        """Show the feed of a transfer system from now on, a line for each change, for ever."""
        client = self._clients[self.watched]
        receiver = Receiver(client, self._random)
        await receiver.begin()
        last = receiver.start

        def hear(change: dict[str, object]) -> None:
            nonlocal last
            number = change["number"]
            last = number if isinstance(number, int) else last
            show(_line(change))

        await Subscriber(client, _SHOWN).run(lambda: last, hear)

    async def _new_traffic(self, registrations: int) -> Traffic:
        traffic = generate(
            self._random.getrandbits(32),
            registrations,
            self._world,
            now=datetime.now(UTC),
            school_year=school_year(),
        )
        for name, students in traffic.followers.items():
            await Receiver(self._clients[name], self._random).follow(students)
        return traffic


def _line(change: Mapping[str, object]) -> str:
    number, reference = change["number"], change["reference"] or "–"
    registration = change["registration"]
    if not isinstance(registration, dict):
        return f"{number:>7}  {change['kind']}"
    programme = registration["programme"]
    where = f"{registration['institution']['name']}, {programme['name'] or programme['code']}"
    before, after = change["previousStatus"], change["status"]
    step = f"{after} (other data)" if change["kind"] == "DATA" else f"{before or 'new'} → {after}"
    return f"{number:>7}  {reference}  {where}: {step}"
