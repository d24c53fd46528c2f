"""The last defence of personal numbers: text on its way out loses every run of digits that might be one."""

from __future__ import annotations

import re

# Eight digits are a BSN without its leading zero. Dots and spaces are how people group them. `\d` takes the
# digits of every script. A date with hyphens stays readable.
_NUMBER = re.compile(r"\d(?:[ .]?\d){7,}")
_MASK = "*********"


def scrub(text: str) -> str:
    """Return the text with every run of eight or more digits masked."""
    return _NUMBER.sub(_MASK, text)
