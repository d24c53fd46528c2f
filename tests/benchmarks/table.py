"""The table of a run: what the hub and its peers cost for the same work, and how they compare."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HUB = "koppelpunt"
_ORDER = ("Q1", "Q2", "Q2E", "M1", "M2", "S1")
_Line = dict[str, Any]


def table(lines: Sequence[_Line]) -> str:
    """Return a table in Markdown: server CPU in ms per unit of work, by the canary; median of the rounds.

    Behind each peer's figure: the hub's divided by it. PostgreSQL's CPU stands beside it, as measured.
    """
    measured: dict[tuple[int, str], dict[str, list[_Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if line.get("op") in _ORDER and "cpu_s_per_1000" in line:
            work = line["op"]
            if work == "S1":
                work += f" {line['subscribers']}x{line['burst']}"
            measured[_ORDER.index(line["op"]), work][line["peer"]].append(line)
    peers = sorted({peer for work in measured.values() for peer in work} - {HUB})
    rows = [["work", HUB, *peers, f"PostgreSQL: {HUB}", *(f"PostgreSQL: {peer}" for peer in peers), "errors"]]
    rows.append(["---"] * len(rows[0]))
    for (_, work), by_peer in sorted(measured.items()):
        own = _cpu(by_peer.get(HUB, []))
        rows.append(
            [
                work,
                _shown(own),
                *(_compared(own, _cpu(by_peer.get(peer, []))) for peer in peers),
                *(_shown(_postgresql(by_peer.get(peer, []))) for peer in (HUB, *peers)),
                str(sum(line.get("errors", 0) for some in by_peer.values() for line in some)),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def findings(lines: Sequence[_Line]) -> list[str]:
    """Return what went wrong: checks of content that failed, peers that did not run."""
    found = []
    for line in lines:
        if line.get("op") == "verify":
            found += [
                f"{line['peer']} {operation}: {said}"
                for operation, said in line["checks"].items()
                if not said.startswith(("ok", "not offered"))
            ]
        elif line.get("op") == "failed":
            found.append(f"{line['peer']}: {line['error']}")
    return list(dict.fromkeys(found))


def _cpu(lines: Sequence[_Line]) -> float | None:
    adjusted = [line["cpu_s_per_1000"] / line["canary_ms"] for line in lines if line.get("canary_ms")]
    return median(adjusted) if adjusted else None


def _postgresql(lines: Sequence[_Line]) -> float | None:
    values = [line["pg_cpu_s_per_1000"] for line in lines if line.get("pg_cpu_s_per_1000") is not None]
    return median(values) if values else None


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _compared(own: float | None, peer: float | None) -> str:
    if own is None or not peer:
        return _shown(peer)
    return f"{peer:.4f} (×{own / peer:.2f})"
