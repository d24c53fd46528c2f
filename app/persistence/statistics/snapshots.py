"""Statements that freeze the cube and read what was frozen."""

from __future__ import annotations

from app.domain.cube import UNKNOWN_REGION, Dimension
from app.persistence.statistics import contributions
from app.persistence.statistics.contributions import KEY, MEASURES

_KEY = ", ".join(KEY)
_MEASURES = ", ".join(MEASURES)
_SUMS = ", ".join(f"sum({measure})" for measure in MEASURES)

LATEST = "select id, as_of from statistics_snapshot order by id desc limit 1"
BEGIN = "insert into statistics_snapshot (as_of) values ($1) returning id"
# Live rows and carried cells together. A registration without a leaving school counts in the region of its
# institution, as the catalogue has it today. Only here do regions add up to the country's.
FREEZE = f"""
with {contributions.cells()},
everybody as (
  select {_KEY}, {_MEASURES} from contributed
  union all
  select {_KEY}, {_MEASURES} from statistics_carried_cell
),
placed as (
  select school_year, dimension,
         case when dimension = '{Dimension.COVERAGE}' or (dimension = '{Dimension.REGION}' and national)
              then '' else e.brin end as brin,
         case dimension
           when '{Dimension.REGION}' then coalesce(nullif(category, ''), i.region, '{UNKNOWN_REGION}')
           when '{Dimension.COVERAGE}' then split_part(category, ' ', 1) || ' '
                || coalesce(nullif(split_part(category, ' ', 2), ''), i.region, '{UNKNOWN_REGION}')
           else category end as category,
         {_MEASURES}
  from everybody e left join institution i on i.brin = e.brin
  cross join (values (false), (true)) as once (national)
  where not national or dimension = '{Dimension.REGION}'
)
insert into statistics_cell (snapshot_id, {_KEY}, {_MEASURES})
select $1, {_KEY}, {_SUMS} from placed group by {_KEY}
"""
# True cells are of use to the next refresh and to nobody else.
PRUNE_CELLS = "delete from statistics_cell where snapshot_id <> $1"
PRUNE_TABLES = """
delete from statistics_table where snapshot_id in (select id from statistics_snapshot where as_of < $1)
"""
PRUNE = "delete from statistics_snapshot where as_of < $1"
SILENT = f"""
select i.brin, coalesce(i.region, '{UNKNOWN_REGION}') as region from institution i
where not exists (select 1 from status_message m where m.brin = i.brin and m.received_at >= $1)
order by i.brin
"""
YEARS = "select distinct school_year from statistics_cell where snapshot_id = $1 order by school_year"
CELLS = f"""
select dimension, brin, category, {_MEASURES} from statistics_cell
where snapshot_id = $1 and school_year = $2
order by dimension, brin, category collate "C"
"""
PUBLISH = """
insert into statistics_table (snapshot_id, school_year, name, of, as_of, content)
select $1, $2, * from unnest($3::text[], $4::text[], $5::timestamptz[], $6::text[]::jsonb[])
"""
BLOCKS = """
select name, of, as_of, content from statistics_table
where snapshot_id = $1 and school_year = $2 and content ? 'block'
"""
# Each by its key, which "limit" makes sure of: left to itself, the planner reads the whole snapshot.
TABLES = """
select found.* from unnest($3::text[], $4::text[]) as wanted (name, of)
cross join lateral (
  select t.name, t.of, t.as_of, t.content from statistics_table t
  where t.snapshot_id = $1 and t.school_year = $2 and t.name = wanted.name and t.of = wanted.of limit 1
) found
"""
