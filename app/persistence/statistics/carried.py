"""What removed students have left in the figures: their contributions, added up cell by cell."""

from __future__ import annotations

from app.persistence.statistics import contributions, history
from app.persistence.statistics.contributions import KEY, MEASURES, MIX_KEY

_WHOSE = "and student_id = any($1::bigint[])"


def _carry(table: str, key: tuple[str, ...], measures: tuple[str, ...], contributed: str) -> str:
    columns = ", ".join((*key, *measures))
    added = ", ".join(f"{measure} = {table}.{measure} + excluded.{measure}" for measure in measures)
    # In the order of the key, so that two removals at once wait for each other and never in a circle.
    return f"""
with {contributed}
insert into {table} ({columns}) select {columns} from contributed order by {", ".join(key)}
on conflict ({", ".join(key)}) do update set {added}
"""


CARRY_CELLS = _carry("statistics_carried_cell", KEY, MEASURES, contributions.cells(_WHOSE))
CARRY_MIXES = _carry("statistics_carried_mix", MIX_KEY, ("registrations",), contributions.mixes(_WHOSE))
CARRY_HISTORY = _carry("statistics_carried_history", history.KEY, history.COUNTS, history.TO_CARRY)
