"""Records leave both logs when they are old, and never before.

Revision: 20261126_record_removal
Follows: 20261126_follows_of_a_student
"""

from __future__ import annotations

from alembic import op

revision: str = "20261126_record_removal"
down_revision: str | None = "20261126_follows_of_a_student"
branch_labels: str | None = None
depends_on: str | None = None

_TIMES = {"security_record": "at", "processing_record": "ended_at"}


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    # Whatever a setting says and whoever asks: what is younger than a month stays.
    op.execute(
        "create function refuse_removal() returns trigger language plpgsql as $$"
        "declare young boolean; begin "
        "execute format('select exists (select from gone where %I > now() - interval ''30 days'')', "
        "tg_argv[0]) into young; "
        "if young then raise exception 'records of the last 30 days are not removed'; end if; "
        "return null; end$$"
    )
    for table, time in _TIMES.items():
        op.execute(
            f"create trigger {table}_keeps_the_young after delete on {table} "
            f"referencing old table as gone for each statement execute function refuse_removal('{time}')"
        )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    for table in _TIMES:
        op.execute(f"drop trigger {table}_keeps_the_young on {table}")
    op.execute("drop function refuse_removal()")
