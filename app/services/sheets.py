"""Tables as files, page by page, in as much memory as a page takes."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import TYPE_CHECKING

from xlsxwriter import Workbook

from app.services.export_folders import export_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    Row = Sequence[str]

_CHUNK = 64 * 1024
_ROWS_OF_A_SHEET = 1_048_576  # of Excel; what is more goes on in the next sheet
# Rows are written to disk as they come, and no text is taken for anything but text.
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


async def as_csv(columns: Row, pages: AsyncIterator[Sequence[Row]]) -> AsyncIterator[bytes]:
    """Yield a CSV file (RFC 4180, UTF-8) with a head line."""
    yield _csv([columns])
    async for page in pages:
        yield _csv(page)


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


async def as_xlsx(columns: Row, pages: AsyncIterator[Sequence[Row]]) -> AsyncIterator[bytes]:
    """Yield an XLSX file with a head line in each sheet; it is put together on disk first."""
    with export_folder() as folder:
        path = folder / "export.xlsx"
        book = _Book(path, columns)
        try:
            async for page in pages:
                await asyncio.to_thread(book.add, page)
            await asyncio.to_thread(book.close)
        except BaseException:  # also when the one who asked has left
            book.abandon()
            raise
        with path.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk


class _Book:
    def __init__(self, path: Path, columns: Row) -> None:
        self._book = Workbook(str(path), {**_OPTIONS, "tmpdir": str(path.parent)})
        self._book.use_zip64()
        self._columns = columns
        self._next = _ROWS_OF_A_SHEET

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if self._next == _ROWS_OF_A_SHEET:
                self._sheet = self._book.add_worksheet()
                self._sheet.write_row(0, 0, self._columns)
                self._next = 1
            for column, text in enumerate(row):
                if text:
                    self._sheet.write_string(self._next, column, text)
            self._next += 1

    def close(self) -> None:
        if self._next == _ROWS_OF_A_SHEET and not self._book.worksheets():
            self._book.add_worksheet().write_row(0, 0, self._columns)
        self._book.close()

    def abandon(self) -> None:
        """Let go of the files that rows were written to."""
        for sheet in self._book.worksheets():
            sheet.row_data_fh.close()
