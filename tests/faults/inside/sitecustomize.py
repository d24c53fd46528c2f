"""What Python runs first in each process of a hub that has this folder on its path: changes from inside."""

from __future__ import annotations

import os

if "JUMPING_CLOCK" in os.environ:
    import jumping_clock  # type: ignore[import-not-found] # noqa: F401 - it does its work by being imported
if "DEADLY_POINT" in os.environ:
    import deadly_points  # type: ignore[import-not-found] # noqa: F401 - likewise
