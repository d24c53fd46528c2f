"""Files of tables: what a cell may not do, and that no more than a page is held."""

from __future__ import annotations

import pytest

from app.domain.export import guarded
from app.services.sheets import as_csv, as_xlsx
from tests.factories.sheets import cells


async def pages(*lists):
    for rows in lists:
        yield rows


async def whole(chunks) -> bytes:
    return b"".join([chunk async for chunk in chunks])


class TestGuarded:
    @pytest.mark.parametrize("text", ["=1+1", "+31", "-1", "@x", "\t=1", "\r=1", "\n=1", '=HYPERLINK("x")'])
    def test_puts_an_apostrophe_before_what_could_run(self, text: str) -> None:
        assert guarded(text) == f"'{text}"

    @pytest.mark.parametrize("text", ["", "S-1", "a=b", " =1", "'=1", "ë"])
    def test_leaves_everything_else(self, text: str) -> None:
        assert guarded(text) == text


class TestCsv:
    async def test_quotes_what_needs_it(self) -> None:
        file = await whole(as_csv(("a", "b"), pages([("1", 'x"y')], [("z,z", "ë\n")])))
        assert file == 'a,b\r\n1,"x""y"\r\n"z,z","ë\n"\r\n'.encode()

    async def test_has_a_head_line_alone_when_there_is_nothing(self) -> None:
        assert await whole(as_csv(("a", "b"), pages())) == b"a,b\r\n"


class TestXlsx:
    async def test_holds_every_cell_as_a_text(self) -> None:
        rows = [("1", "=1+1", "https://x"), ("001", "", "ë&<")]
        file = await whole(as_xlsx(("a", "b", "c"), pages(rows[:1], rows[1:])))
        assert cells(file) == [["a", "b", "c"], ["1", "=1+1", "https://x"], ["001", "ë&<"]]

    async def test_has_a_head_line_alone_when_there_is_nothing(self) -> None:
        assert cells(await whole(as_xlsx(("a",), pages()))) == [["a"]]

    async def test_goes_on_in_another_sheet(self, monkeypatch) -> None:
        monkeypatch.setattr("app.services.sheets._ROWS_OF_A_SHEET", 3)
        file = await whole(as_xlsx(("a",), pages([(str(number),) for number in range(5)])))
        assert [cells(file, sheet) for sheet in (1, 2, 3)] == [
            [["a"], ["0"], ["1"]],
            [["a"], ["2"], ["3"]],
            [["a"], ["4"]],
        ]

    async def test_leaves_no_file_behind_when_it_breaks_off(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

        async def failing():
            yield [("1",)]
            raise RuntimeError

        with pytest.raises(RuntimeError):
            await whole(as_xlsx(("a",), failing()))
        assert list(tmp_path.iterdir()) == []
