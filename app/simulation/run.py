"""One run: follow, listen, send, wait, prove."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import httpx

from app.domain import codes
from app.domain.access import Role
from app.domain.following import default_until
from app.domain.status_message import Refusal
from app.simulation.client import HubClient, HubError, http_client
from app.simulation.proof import Evidence, Truth, examine, missed
from app.simulation.receiving import Receiver
from app.simulation.report import ReceiverReport, Report
from app.simulation.sending import Ledger, Senders
from app.simulation.traffic import World, generate, vendors_by_institution

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from ssl import SSLContext

    from app.simulation.credentials import Credentials
    from app.simulation.traffic import Traffic

_SILENCE_SECONDS = 20.0  # when nothing more arrives for so long, it is missed
_LOOK_SECONDS = 0.05
_CUTS = 12  # of connections, over the whole run
_FEWEST_BETWEEN_CUTS = 40  # changes, so that a connection hears something between two cuts
_ALLOWED_REFUSAL = Refusal.ALREADY_ENROLLED.value  # a withdrawal in CAMBO that crossed an enrolment
_KIBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play.

    `urls`: of one hub, or of several on one database. `rate` in messages per second, None: as fast as the hub
    takes them.
    """

    urls: tuple[str, ...]
    seed: int
    registrations: int
    programmes: tuple[str, ...]
    rate: float | None = None
    batch: int = 500
    concurrency: int = 4
    favourite: str | None = None


def world_of(
    clients: Sequence[Credentials], programmes: tuple[str, ...], favourite: str | None = None
) -> World:
    """Return where these clients can play. Raises HubError when one is lacking."""
    vendors = {one.name: one.brins for one in clients if one.role is Role.SIS}
    cambo = [one.name for one in clients if one.role is Role.CAMBO]
    transfer_systems = tuple(one.name for one in clients if one.role is Role.OS)
    if not any(vendors.values()) or not cambo or not transfer_systems:
        raise HubError("the clients must hold a SIS vendor with mandates, CAMBO and a transfer system")
    return World(vendors_by_institution(vendors), cambo[0], transfer_systems, programmes, favourite)


def school_year() -> int:
    """Return the school year for which students apply at this time of the year."""
    return default_until(codes.today(datetime.now(UTC))).year


async def simulate(
    plan: Plan, clients: Sequence[Credentials], progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Play the plan against a running hub, and report. Raises HubError when the hub refuses to play."""
    world = world_of(clients, plan.programmes, plan.favourite)
    progress(f"generating {plan.registrations:,} registrations")
    traffic = generate(plan.seed, plan.registrations, world, now=datetime.now(UTC), school_year=school_year())
    async with AsyncExitStack() as stack:
        ways = {
            tls: await stack.enter_async_context(http_client(plan.urls[0], tls))
            for tls in {one.tls for one in clients}
        }
        return await _Run(plan, ways, world, traffic, clients, progress).play()


class _Run:
    def __init__(
        self,
        plan: Plan,
        ways: Mapping[SSLContext | None, httpx.AsyncClient],
        world: World,
        traffic: Traffic,
        clients: Sequence[Credentials],
        progress: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._http = ways[clients[0].tls]
        self._world = world
        self._traffic = traffic
        self._progress = progress
        self._random = Random(plan.seed)
        self._ledger = Ledger()
        named = {one.name: HubClient(ways[one.tls], one, plan.urls[1:]) for one in clients}
        self._clients = list(named.values())
        self._senders = Senders(named, self._ledger, batch=plan.batch, concurrency=plan.concurrency)
        self._receivers = [
            Receiver(named[name], self._random) for name in (*world.transfer_systems, world.cambo)
        ]

    async def play(self) -> Report:
        await self._prepare()
        started = time.perf_counter()
        try:
            sending_seconds = await self._send(started)
            truth = Truth.of(self._traffic.messages, self._ledger.fates)
            await self._wait(truth)
        finally:
            for receiver in self._receivers:
                await receiver.stop()
        hearing_seconds = max(one.last_arrival for one in self._receivers) - started
        self._progress("comparing")
        return await self._report(truth, sending_seconds, max(hearing_seconds, 0.001))

    async def _prepare(self) -> None:
        await self._clients[0].token()  # raises at once where there is no hub
        for client in self._clients:
            client.expect()
        followers = self._traffic.followers
        for receiver in self._receivers:
            students = followers.get(receiver.name, ())
            self._progress(f"{receiver.name} follows {len(students):,} students")
            await receiver.follow(students)
            await receiver.begin()
            await receiver.subscribe()

    async def _send(self, started: float) -> float:
        watch = asyncio.create_task(self._disturb())
        try:
            await self._senders.send(self._traffic.messages, self._plan.rate)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        return time.perf_counter() - started

    async def _disturb(self) -> None:
        """Cut connections at random moments, each after it has heard something; and tell how far it is."""
        total = len(self._traffic.messages)
        cuts = max(1, min(_CUTS, total // _FEWEST_BETWEEN_CUTS))
        moments = sorted((self._random.randrange(total) for _ in range(cuts)), reverse=True)
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            sent = self._ledger.messages
            self._progress(f"sent {sent:,} of {total:,}, heard {self._heard():,}")
            if moments and sent >= moments[-1]:
                moments.pop()
                await self._random.choice(self._receivers).cut()

    async def _wait(self, truth: Truth) -> None:
        waited_since = time.perf_counter()
        evidence = {receiver: self._evidence(receiver) for receiver in self._receivers}
        lacking = [
            (receiver, truth.expected(truth.changes if one.applications is None else one.applications))
            for receiver, one in evidence.items()
        ]
        while True:
            for receiver in self._receivers:
                receiver.check()
            # Counted first: to compare takes longer than a look may.
            lacking = [
                (receiver, expected)
                for receiver, expected in lacking
                if len(receiver.heard) < expected or missed(truth, evidence[receiver])
            ]
            if not lacking:
                return
            since = max(waited_since, *(receiver.last_arrival for receiver in self._receivers))
            if time.perf_counter() - since > _SILENCE_SECONDS:
                return
            self._progress(f"all is sent, heard {self._heard():,}")
            await asyncio.sleep(_LOOK_SECONDS)

    def _heard(self) -> int:
        return sum(len(receiver.heard) for receiver in self._receivers)

    def _evidence(self, receiver: Receiver) -> Evidence:
        """Return what a receiver has up to now, without having asked the hub."""
        if receiver.name == self._world.cambo:
            return Evidence(receiver.name, receiver.start, receiver.heard, receiver.heard, None, None)
        receivers = self._traffic.receivers
        own = frozenset(one for one, names in receivers.items() if receiver.name in names)
        return Evidence(receiver.name, receiver.start, receiver.heard, receiver.heard, own, {})

    async def _report(self, truth: Truth, sending_seconds: float, hearing_seconds: float) -> Report:
        problems = [*self._ledger.contradictions, *self._refusals()]
        reports = []
        for receiver in self._receivers:
            evidence = replace(self._evidence(receiver), pulled=await receiver.pull())
            if evidence.present is not None:
                evidence = replace(evidence, present=await receiver.present())
            problems += [f"{receiver.name}: {line}" for line in receiver.contradictions]
            problems += examine(truth, evidence)
            own = sum(one.application_id in self._traffic.receivers for one in receiver.heard.values())
            applications = truth.changes if evidence.applications is None else evidence.applications
            reports.append(
                ReceiverReport(
                    receiver.name,
                    expected=truth.expected(applications),
                    heard=own,
                    missed=missed(truth, evidence),
                    others=len(receiver.heard) - own,
                    reconnects=receiver.reconnects,
                )
            )
        return Report(
            self._plan.seed,
            len(self._traffic.receivers),
            len({message.student.reference for message in self._traffic.messages}),
            self._traffic.repeated,
            self._ledger,
            tuple(reports),
            self._latencies(truth),
            problems,
            sending_seconds,
            hearing_seconds,
            _peak_memory(),
            await self._hub_memory(),
        )

    def _refusals(self) -> list[str]:
        refused = {code: count for code, count in self._ledger.refusals.items() if code != _ALLOWED_REFUSAL}
        unanswered = len({one.message_id for one in self._traffic.messages} - self._ledger.fates.keys())
        return [
            *(f"{count:,} messages were refused: {code}" for code, count in sorted(refused.items())),
            *([f"{unanswered:,} messages got no answer"] if unanswered else []),
        ]

    def _latencies(self, truth: Truth) -> list[float]:
        """Return the seconds from the answer to the arrival; 0 where the change arrived first."""
        return [
            max(0.0, one.arrived_at - truth.answered_at[one.application_id, one.occurred_at])
            for receiver in self._receivers
            for one in receiver.heard.values()
            if one.application_id is not None
            and one.occurred_at is not None
            and (one.application_id, one.occurred_at) in truth.answered_at
        ]

    async def _hub_memory(self) -> dict[str, int]:
        """Return the memory of the process that answers, where it publishes its figures."""
        with suppress(httpx.HTTPError, ValueError):
            for line in (await self._http.get("/metrics")).text.splitlines():
                name, _, value = line.partition(" ")
                if name == "process_resident_memory_bytes":
                    return {"hub": int(float(value))}
        return {}


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIBIBYTE
