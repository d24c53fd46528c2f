"""Reading back what was exported."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree as ET

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def cells(file: bytes, sheet: int = 1) -> list[list[str]]:
    """Return the texts of a sheet; only strings in place, and no formula."""
    with zipfile.ZipFile(io.BytesIO(file)) as book:
        root = ET.fromstring(book.read(f"xl/worksheets/sheet{sheet}.xml"))  # noqa: S314 - our own
    assert root.find(f".//{SHEET}f") is None
    found = []
    for row in root.iter(f"{SHEET}row"):
        texts = []
        for cell in row.iter(f"{SHEET}c"):
            assert cell.get("t") == "inlineStr"
            texts.append("".join(cell.itertext()))
        found.append(texts)
    return found
