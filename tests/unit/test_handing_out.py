"""Who is served first, and what a failure costs."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader

from app.feed.audience import Audience, Listener
from app.feed.handing_out import HandingOut
from app.feed.outlet import Outlet
from app.transport.graphql_endpoint.frames import next_frame
from graphql_schema.execution.operations import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.domain.feed import StatusChange


class _Listener(Listener):
    """A listener that notes that it was served."""

    def __init__(self, name: str, served: list[str], *, late: bool = False, fails: bool = False) -> None:
        outlet: Outlet[StatusChange] = Outlet(_Line(late=late), name, lambda _: b"")
        super().__init__(Audience(), outlet)
        self.name, self.served, self.fails, self.pokes = name, served, fails, 0

    def serve(self, earliest: float) -> None:
        del earliest
        self.served.append(self.name)
        if self.fails:
            raise ValueError

    def poke(self) -> None:
        self.pokes += 1


class _Line:
    def __init__(self, *, late: bool) -> None:
        self.late = late

    def write(self, frame: bytes) -> bool:
        raise NotImplementedError


def _audience(*listeners: Listener) -> Audience:
    audience = Audience()
    audience.listeners.update(dict.fromkeys(listeners))
    return audience


@contextmanager
def _at_work(handing_out: HandingOut) -> Iterator[None]:
    task = asyncio.create_task(handing_out.run())
    yield
    task.cancel()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0)


def _has(served: list[str], name: str, count: int) -> bool:
    return served.count(name) >= count


class TestHandingOut:
    async def test_serves_who_answers_pings_first_and_the_others_once(self) -> None:
        served: list[str] = []
        late = [_Listener(f"late {number}", served, late=True) for number in range(100)]
        quick = [_Listener(f"quick {number}", served) for number in range(100)]
        handing_out = HandingOut()
        handing_out.add(_audience(*late, *quick))
        handing_out.add(_audience(_Listener("of another", served)))
        with _at_work(handing_out):
            await _until(lambda: len(served) == 201)
        assert served == [
            *(one.name for one in quick),
            "of another",
            *(one.name for one in late),
        ]

    async def test_serves_the_late_a_step_further_each_time_that_there_is_news(self) -> None:
        served: list[str] = []
        quick = _Listener("quick", served)
        audience = _audience(*(_Listener("late", served, late=True) for _ in range(640)), quick)
        handing_out = HandingOut()
        handing_out.add(audience)
        with _at_work(handing_out):
            for rounds in range(1, 11):
                await _until(partial(_has, served, "quick", rounds))
                handing_out.add(audience)
            await _until(partial(_has, served, "late", 640))
        between = "".join(name[0] for name in served).split("q")[1:10]
        assert all(64 <= len(late) <= 128 for late in between), "each round serves some of the late"

    async def test_sends_who_fails_to_the_table_and_goes_on(self) -> None:
        served: list[str] = []
        broken, whole = _Listener("broken", served, fails=True), _Listener("whole", served)
        handing_out = HandingOut()
        handing_out.add(_audience(broken, whole))
        with _at_work(handing_out):
            await _until(lambda: len(served) == 2)
        assert (broken.pokes, whole.pokes) == (1, 0)


class TestFrame:
    @pytest.mark.parametrize("size", [1, 80, 124, 125, 126, 127, 65_535, 65_536, 70_000])
    def test_is_one_text_message_of_the_protocol(self, size: int) -> None:
        head = b'{"id":"1","type":"next","payload":'
        payload = b"1" * max(1, size - len(head) - 1)
        reader = StreamReader()
        reader.feed_data(next_frame(head, Event(payload, 1)))
        parsing = Frame.parse(reader.read_exact, mask=False, max_size=None)
        with pytest.raises(StopIteration) as parsed:
            next(parsing)
        frame: Frame = parsed.value.value
        assert (frame.opcode, frame.fin, frame.data) == (1, True, head + payload + b"}")
