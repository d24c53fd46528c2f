"""Statements that freeze the cube and read what was frozen."""

from __future__ import annotations

from app.domain.cube import Dimension
from app.persistence.statistics import contributions
from app.persistence.statistics.contributions import KEY, MEASURES

_KEY = ", ".join(KEY)
_MEASURES = ", ".join(MEASURES)
_SUMS = ", ".join(f"sum({measure})" for measure in MEASURES)

LATEST = "select id, as_of from statistics_snapshot order by id desc limit 1"
BEGIN = "insert into statistics_snapshot (as_of) values ($1) returning id"
# Live rows and carried cells together. A registration without a leaving school counts in the region of its
# institution, as the catalogue has it today.
FREEZE = f"""
with {contributions.cells()},
everybody as (
  select {_KEY}, {_MEASURES} from contributed
  union all
  select {_KEY}, {_MEASURES} from statistics_carried_cell
),
placed as (
  select school_year, dimension,
         case when dimension in ('{Dimension.REGION}', '{Dimension.COVERAGE}') then ''
              else e.brin end as brin,
         case dimension
           when '{Dimension.REGION}' then coalesce(nullif(category, ''), i.region, '')
           when '{Dimension.COVERAGE}' then split_part(category, ' ', 1) || ' '
                || coalesce(nullif(split_part(category, ' ', 2), ''), i.region, '')
           else category end as category,
         {_MEASURES}
  from everybody e left join institution i on i.brin = e.brin
)
insert into statistics_cell (snapshot_id, {_KEY}, {_MEASURES})
select $1, {_KEY}, {_SUMS} from placed group by {_KEY}
"""
PRUNE_CELLS = """
delete from statistics_cell where snapshot_id in (select id from statistics_snapshot where as_of < $1)
"""
PRUNE = "delete from statistics_snapshot where as_of < $1"
CELLS = f"""
select brin, category, {_MEASURES} from statistics_cell
where snapshot_id = $1 and school_year = $2 and dimension = $3 and brin = $4
order by category collate "C"
"""
