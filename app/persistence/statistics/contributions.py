"""What students add to the cells of the cube, in SQL: of all of them, or of some.

Every measure is a sum over students of whole numbers that depend on that student alone and on no clock. So
the figures of two groups of students are added cell by cell, in any order, and come out the same to the last
unit. That is what lets a removed student stay in the totals. Regions of institutions are not looked up here,
since the catalogue may change them later: a registration without a leaving school keeps its institution in
the key.

A week is the ISO week (Europe/Amsterdam) in which the hub first heard of the registration.
"""

from __future__ import annotations

from app.domain.codes import LIVE
from app.domain.cube import MOST_LIVE, Dimension

MEASURES = (
    "registrations",
    "live",
    "multiple",
    "multiple_live",
    "students",
    "own_multiple",
    "own_multiple_live",
)
KEY = ("school_year", "dimension", "brin", "category")
MIX_KEY = ("school_year", "brin", "programme_code", "status")

_LIVE = ", ".join(f"'{status}'" for status in sorted(LIVE))

# Which column of `measured` a dimension is split by; grouping() of it is 0 where it is.
_SPLIT_BY = {
    Dimension.PROGRAMME: "programme_code",
    Dimension.LEARNING_PATH: "learning_path",
    Dimension.PROGRAMME_YEAR: "programme_year",
    Dimension.WEEK: "week",
    Dimension.STATUS: "source_and_status",
}
_DIMENSION = " ".join(f"when grouping({column}) = 0 then '{name}'" for name, column in _SPLIT_BY.items())
_SETS = ", ".join(
    ["(school_year)", "(school_year, brin)", "(school_year, brin, region)"]
    + [f"(school_year, {column})" for column in _SPLIT_BY.values()]
    + [f"(school_year, brin, {column})" for column in _SPLIT_BY.values()]
)


def _compared(whose: str) -> str:
    """Return registrations with what their student has beside them; `whose` narrows down the students."""
    return f"""
current as (
  select student_id, school_year, brin, programme_code, learning_path, programme_year::text as programme_year,
         to_char(created_at at time zone 'Europe/Amsterdam', 'IYYY-"W"IW') as week,
         status, status_source || ' ' || status as source_and_status, coalesce(region, '') as region,
         case when status in ({_LIVE}) then 1 else 0 end as live
  from registration where annulled_by is null {whose}
),
compared as (
  select *, count(*) over student as of_student, sum(live) over student as live_of_student,
         count(*) over here as of_here, sum(live) over here as live_here,
         row_number() over student as nth, row_number() over here as nth_here,
         row_number() over (partition by student_id, school_year, brin, programme_code) as nth_programme_here,
         row_number() over (partition by student_id, school_year, programme_code) as nth_programme
  from current
  window student as (partition by student_id, school_year),
         here as (partition by student_id, school_year, brin)
)"""


_COUNTED = f"""
counted as (
  select school_year,
         case {_DIMENSION} when grouping(region) = 0 then '{Dimension.REGION}'
              else '{Dimension.TOTAL}' end as dimension,
         coalesce(brin, '') as brin,
         coalesce(programme_code, learning_path, programme_year, week, source_and_status, region, '')
           as category,
         count(*) as registrations, sum(live) as live, count(*) filter (where of_student >= 2) as multiple,
         count(*) filter (where live = 1 and live_of_student >= 2) as multiple_live,
         case when grouping(programme_code) = 0 and grouping(brin) = 0
              then count(*) filter (where nth_programme_here = 1)
              when grouping(programme_code) = 0 then count(*) filter (where nth_programme = 1)
              when grouping(learning_path, programme_year, week, source_and_status, region) <> 31 then 0
              when grouping(brin) = 0 then count(*) filter (where nth_here = 1)
              else count(*) filter (where nth = 1) end as students,
         case when grouping(brin) = 0 then count(*) filter (where of_here >= 2) else 0 end as own_multiple,
         case when grouping(brin) = 0 then count(*) filter (where live = 1 and live_here >= 2)
              else 0 end as own_multiple_live
  from compared group by grouping sets ({_SETS})
)"""

# Students with a live registration: by how many they have, and by the other institution where they have one.
# `own_multiple_live` counts those that have several at this institution, which it knows by itself.
_SPREAD = f"""
living as (
  select student_id, school_year, brin, least(max(live_of_student), {MOST_LIVE}) as live_of_student,
         case when max(live_here) >= 2 then 1 else 0 end as several_here
  from compared where live = 1 group by student_id, school_year, brin
),
spread as (
  select school_year, '{Dimension.LIVE_OF_STUDENT}' as dimension, brin, live_of_student::text as category,
         count(*) as students, sum(several_here) as own_multiple_live
  from living group by school_year, brin, live_of_student
  union all
  select school_year, '{Dimension.LIVE_OF_STUDENT}', '', live_of_student::text, count(*), 0
  from (select distinct student_id, school_year, live_of_student from living) once
  group by school_year, live_of_student
  union all
  select a.school_year, '{Dimension.OVERLAP}', a.brin, b.brin, count(*), 0
  from living a join living b using (student_id, school_year) where a.brin <> b.brin
  group by a.school_year, a.brin, b.brin
)"""


# A student's region is that of a leaving school, else that of the institution of the first registration.
# Followed: some transfer system followed the student at some time since applying for that year began. Each
# student's last day of being followed is found once: to look it up for each reads all follows each time.
def _covered(whose: str) -> str:
    return f"""
followed as (
  select student_id, max(least(until, (ended_at at time zone 'Europe/Amsterdam')::date)) as last_day
  from follow where true {whose} group by student_id
),
covered as (
  select school_year, '{Dimension.COVERAGE}' as dimension, institution as brin,
         case when last_day >= make_date(school_year - 1, 10, 1) then 'FOLLOWED' else 'NOT_FOLLOWED' end
           || ' ' || region as category,
         count(*) as students
  from (
    select student_id, school_year, coalesce(max(nullif(region, '')), '') as region,
           case when max(nullif(region, '')) is null then min(brin) else '' end as institution
    from current group by student_id, school_year
  ) student left join followed using (student_id)
  group by 1, 2, 3, 4
)"""


def cells(whose: str = "") -> str:
    """Return a WITH list whose `contributed` has the columns KEY and MEASURES, one row a cell."""
    none = ", ".join("0" for _ in range(4))
    return f"""{_compared(whose)}, {_COUNTED}, {_SPREAD}, {_covered(whose)},
contributed as (
  select {", ".join((*KEY, *MEASURES))} from counted
  union all
  select {", ".join(KEY)}, {none}, students, 0, own_multiple_live from spread
  union all
  select {", ".join(KEY)}, {none}, students, 0, 0 from covered
)"""


def mixes(whose: str = "") -> str:
    """Return a WITH list whose `contributed` counts live registrations by MIX_KEY."""
    key = ", ".join(MIX_KEY)
    return f"""
contributed as (
  select {key}, count(*) as registrations from registration
  where annulled_by is null and status in ({_LIVE}) {whose}
  group by {key}
)"""
