"""Alembic, called from Python: to head, and whether the database is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from app.persistence.database import Database

_SCRIPTS = Path(__file__).parents[2] / "alembic"


def alembic_config(url: str) -> Config:
    """Return Alembic's configuration for one database."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("file_template", "%%(year)d%%(month).2d%%(day).2d_%%(slug)s")
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database up to a revision; several at once wait for each other."""
    command.upgrade(alembic_config(url), revision)


async def at_head(database: Database) -> bool:
    """Tell whether the database is at this code's newest migration, or past it."""
    known = {script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()}
    heads = set(ScriptDirectory(str(_SCRIPTS)).get_heads())
    async with database.connection() as connection:
        if await connection.fetchval("select to_regclass('alembic_version')") is None:
            return False
        current = {
            row["version_num"] for row in await connection.fetch("select version_num from alembic_version")
        }
    return current == heads or bool(current - known)
