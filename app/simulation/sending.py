"""SIS vendors and CAMBO at work: batches, several at a time, and what became of each message."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.domain.status_message import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.simulation.client import HubClient
    from app.simulation.traffic import PlannedMessage

REPORT = """
mutation($input: ReportStatusesInput!) {
  reportStatuses(input: $input) { results { messageId outcome originalOutcome code field findings } }
}
"""
_OLDEST_BATCHES = 4  # a sender with little to send waits for this many batches of the others at most
_BATCHES_A_SECOND = 4  # when the rate is limited


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a message in the end. `changed`: whether receivers must hear of it."""

    outcome: Outcome
    changed: bool
    answered_at: float
    code: str | None = None


@dataclass(slots=True)
class Ledger:
    """Every answer: fates by message id, counts, and answers that contradict each other."""

    fates: dict[str, Fate] = field(default_factory=dict)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    findings: Counter[Finding] = field(default_factory=Counter)
    contradictions: list[str] = field(default_factory=list)
    batch_seconds: list[float] = field(default_factory=list)
    batches: int = 0
    messages: int = 0

    def enter(self, result: Mapping[str, object], now: float) -> None:
        """Take in the result of one message."""
        outcome = Outcome(str(result["outcome"]))
        self.outcomes[outcome] += 1
        listed = result["findings"]
        findings = [Finding(str(one)) for one in listed] if isinstance(listed, list) else []
        self.findings.update(findings)
        code = None if result["code"] is None else str(result["code"])
        if code is not None:
            self.refusals[code] += 1
        message_id = str(result["messageId"])
        if outcome is Outcome.DUPLICATE:
            # The only answer there is, when the first one was lost on its way.
            outcome = Outcome(str(result["originalOutcome"]))
        changed = outcome is Outcome.ACCEPTED and Finding.CONFIRMS_CURRENT not in findings
        known = self.fates.setdefault(message_id, Fate(outcome, changed, now, code))
        if Outcome.REFUSED not in {known.outcome, outcome} and (known.outcome, known.changed) != (
            outcome,
            changed,
        ):
            self.contradictions.append(f"message {message_id}: {known.outcome}, and later {outcome}")


@dataclass(frozen=True, slots=True)
class _Batch:
    """Messages of one sender. `before`: batches with the same applications, to be answered first."""

    messages: list[PlannedMessage]
    before: frozenset[asyncio.Future[None]]
    answered: asyncio.Future[None]


class Senders:
    """Sends messages in batches, each by its own sender, several batches at a time.

    A batch waits until those are answered that were sent before and hold some of its applications, as a
    SIS does: else every batch on its way would make messages of the others outdated.
    """

    def __init__(
        self, clients: Mapping[str, HubClient], ledger: Ledger, *, batch: int, concurrency: int
    ) -> None:
        self._clients = clients
        self._ledger = ledger
        self._batch = batch
        self._concurrency = concurrency
        self._waiting: dict[str, tuple[int, list[PlannedMessage]]] = {}
        self._on_their_way: dict[str, asyncio.Future[None]] = {}
        self._ready: asyncio.Queue[_Batch | None] = asyncio.Queue(maxsize=concurrency)

    async def send(self, messages: Iterable[PlannedMessage], rate: float | None = None) -> None:
        """Send all; with a rate, in messages per second, no faster than that. Raises HubError."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._work())
                await self._line_up(messages, rate)
                for _ in range(self._concurrency):
                    await self._ready.put(None)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def send_batch(self, messages: list[PlannedMessage]) -> None:
        """Send messages of one sender at once."""
        started = time.perf_counter()
        variables = {"input": {"messages": [message.variables() for message in messages]}}
        data = await self._clients[messages[0].sender].ask(REPORT, variables)
        now = time.perf_counter()
        payload = data["reportStatuses"]
        results = payload["results"] if isinstance(payload, dict) else []
        ledger = self._ledger
        ledger.batch_seconds.append(now - started)
        ledger.batches += 1
        ledger.messages += len(messages)
        for result in results:
            ledger.enter(result, now)

    async def _line_up(self, messages: Iterable[PlannedMessage], rate: float | None) -> None:
        size = self._batch if rate is None else min(self._batch, math.ceil(rate / _BATCHES_A_SECOND))
        started = time.perf_counter()
        for number, message in enumerate(messages):
            if rate is not None:
                await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            _, batch = self._waiting.setdefault(message.sender, (number, []))
            batch.append(message)
            if len(batch) >= size:
                await self._hand_over(message.sender)
            elif self._waiting:
                sender, (since, _) = next(iter(self._waiting.items()))  # the oldest stands first
                if number - since > _OLDEST_BATCHES * size:
                    await self._hand_over(sender)
        for sender in list(self._waiting):
            await self._hand_over(sender)

    async def _hand_over(self, sender: str) -> None:
        _, messages = self._waiting.pop(sender)
        applications = {message.application_id for message in messages}
        before = frozenset(
            self._on_their_way[application]
            for application in applications
            if application in self._on_their_way
        )
        answered = asyncio.get_running_loop().create_future()
        self._on_their_way.update(dict.fromkeys(applications, answered))
        await self._ready.put(_Batch(messages, before, answered))

    async def _work(self) -> None:
        while (batch := await self._ready.get()) is not None:
            if batch.before:
                await asyncio.wait(batch.before)  # they were taken up before, so this ends
            await self.send_batch(batch.messages)
            batch.answered.set_result(None)
            for message in batch.messages:
                if self._on_their_way.get(message.application_id) is batch.answered:
                    del self._on_their_way[message.application_id]
