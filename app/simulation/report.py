"""What a run came to, for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.status_message import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.simulation.sending import Ledger

_MOST_LINES = 20
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """One receiver: changes expected, heard and missed, other people's changes, connections made again."""

    name: str
    expected: int
    heard: int
    missed: int
    others: int
    reconnects: int


@dataclass(frozen=True, slots=True)
class Report:
    """The whole run. Seconds and bytes; `hub_bytes` is None where the hub does not say."""

    seed: int
    registrations: int
    students: int
    repeated: int
    ledger: Ledger
    receivers: tuple[ReceiverReport, ...]
    latencies: Sequence[float]
    problems: Sequence[str]
    sending_seconds: float
    hearing_seconds: float
    own_bytes: int
    hub_bytes: Mapping[str, int]

    @property
    def missed(self) -> int:
        """How many changes were not heard, over all receivers."""
        return sum(receiver.missed for receiver in self.receivers)

    @property
    def proven(self) -> bool:
        """Whether everything was heard as it should be."""
        return self.missed == 0 and not self.problems

    def lines(self) -> list[str]:
        """Return the report."""
        ledger = self.ledger
        rate = ledger.messages / self.sending_seconds
        outcomes = ", ".join(f"{ledger.outcomes[outcome]:,} {outcome}" for outcome in Outcome)
        findings = ", ".join(f"{count:,} {finding}" for finding, count in sorted(ledger.findings.items()))
        refusals = ", ".join(f"{count:,} {code}" for code, count in sorted(ledger.refusals.items()))
        heard = sum(receiver.heard for receiver in self.receivers)
        pace = heard / self.hearing_seconds
        return [
            f"seed      {self.seed}: {self.registrations:,} registrations of {self.students:,} students",
            f"sent      {ledger.messages:,} messages, {self.repeated:,} of them twice",
            f"          in {self.sending_seconds:.1f} s: {rate:,.0f} messages/s",
            f"          in {ledger.batches:,} batches; one took {_quantiles(ledger.batch_seconds)}",
            f"answered  {outcomes}",
            *([f"          findings: {findings}"] if findings else []),
            *([f"          refused: {refusals}"] if refusals else []),
            *(_receiver_line(receiver) for receiver in self.receivers),
            f"heard     {heard:,} changes in {self.hearing_seconds:.1f} s: {pace:,.0f} changes/s",
            f"          from the answer to the arrival {_quantiles(self.latencies)}",
            f"memory    simulation {self.own_bytes / _MEBIBYTE:,.0f} MiB at its peak"
            + "".join(f", {name} {size / _MEBIBYTE:,.0f} MiB" for name, size in self.hub_bytes.items()),
            f"missed    {self.missed:,}",
            *(f"  wrong   {problem}" for problem in self.problems[:_MOST_LINES]),
            *self._rest(),
        ]

    def _rest(self) -> list[str]:
        rest = len(self.problems) - _MOST_LINES
        return [f"  wrong   and {rest:,} more"] if rest > 0 else []


def _receiver_line(receiver: ReceiverReport) -> str:
    others = f", {receiver.others:,} of other traffic" if receiver.others else ""
    return (
        f"          {receiver.name}: heard {receiver.heard:,} of {receiver.expected:,}, "
        f"missed {receiver.missed:,}, {receiver.reconnects} reconnects{others}"
    )


def _quantiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "–"
    ordered = sorted(seconds)
    half, most = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.95))
    return f"p50 {half * 1000:,.0f} ms, p95 {most * 1000:,.0f} ms"
