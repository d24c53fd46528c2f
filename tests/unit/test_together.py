"""Small pieces of work that arrive together."""

import asyncio

import pytest

from app.services.together import Together


def held_up_by(gate):
    """Return work that waits at a gate with item 0, and does all else at once."""

    async def work(items):
        if 0 in items:
            await gate.wait()
        return list(items)

    return work


class TestTogether:
    async def test_does_at_once_what_waits_for_nobody(self):
        done: list[list[int]] = []

        async def work(items):
            done.append(list(items))
            return [item * 2 for item in items]

        assert await Together(work).do(21) == 42
        assert done == [[21]]

    async def test_does_together_what_arrives_while_others_are_at_work(self):
        done: list[list[int]] = []
        gate = asyncio.Event()

        async def work(items):
            done.append(list(items))
            await gate.wait()
            return [item * 2 for item in items]

        together = Together(work, lanes=1, at_most=3)
        waiting = [asyncio.create_task(together.do(number)) for number in range(6)]
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*waiting) == [0, 2, 4, 6, 8, 10]
        assert done == [[0, 1, 2], [3, 4, 5]]

    async def test_lets_a_bad_one_fail_for_itself_only(self):
        async def work(items):
            if 3 in items:
                raise ValueError
            return [item * 2 for item in items]

        together = Together(work, lanes=1)
        results = await asyncio.gather(*(together.do(number) for number in range(6)), return_exceptions=True)
        assert [result for result in results if not isinstance(result, ValueError)] == [0, 2, 4, 8, 10]
        assert isinstance(results[3], ValueError)

    async def test_goes_on_when_somebody_leaves(self):
        gate = asyncio.Event()

        async def work(items):
            await gate.wait()
            return list(items)

        together = Together(work, lanes=1)
        first, second = (asyncio.create_task(together.do(number)) for number in (1, 2))
        await asyncio.sleep(0)
        second.cancel()
        gate.set()
        assert await first == 1
        with pytest.raises(asyncio.CancelledError):
            await second
        assert await together.do(3) == 3

    async def test_holds_up_nobody_while_a_piece_takes_long(self):
        gate = asyncio.Event()
        together = Together(held_up_by(gate), patience=0.01)
        slow = asyncio.create_task(together.do(0))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert await asyncio.gather(*map(together.do, (1, 2))) == [1, 2]
            assert await together.do(3) == 3
        assert not slow.done()
        gate.set()
        assert await slow == 0

    async def test_opens_no_more_lanes_than_it_may(self):
        at_work: list[list[int]] = []

        async def work(items):
            at_work.append(list(items))
            await gate.wait()
            return list(items)

        gate = asyncio.Event()
        together = Together(work, lanes=3, patience=0.001)
        waiting = []
        async with asyncio.timeout(10):
            for number in range(3):
                waiting.append(asyncio.create_task(together.do(number)))
                while len(at_work) <= number:  # noqa: ASYNC110 - a list
                    await asyncio.sleep(0.001)
        waiting += [asyncio.create_task(together.do(number)) for number in (3, 4)]
        await asyncio.sleep(0.02)
        assert at_work == [[0], [1], [2]]
        gate.set()
        assert await asyncio.gather(*waiting) == [0, 1, 2, 3, 4]

    async def test_opens_a_lane_at_once_where_the_others_have_been_at_work_for_long(self):
        gate = asyncio.Event()
        together = Together(held_up_by(gate), patience=0.3)
        slow = asyncio.create_task(together.do(0))
        await asyncio.sleep(0.35)
        quick = asyncio.create_task(together.do(1))
        for _ in range(10):
            await asyncio.sleep(0)
        assert quick.done(), "without another look in 0.3 s"
        gate.set()
        assert await slow == 0

    async def test_waits_for_its_lane_while_pieces_are_quick(self):
        at_once, most = 0, 0

        async def work(items):
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.002)
            at_once -= 1
            return list(items)

        together = Together(work, patience=10)
        for _ in range(20):
            waiting = [asyncio.create_task(together.do(number)) for number in range(3)]
            await asyncio.sleep(0.001)
            await asyncio.gather(together.do(3), *waiting)
        assert most == 1

    @pytest.mark.parametrize("pause", [0, 0.3])
    async def test_pauses_under_load_for_those_who_ask_again(self, pause):
        pieces: list[int] = []

        async def work(items):
            pieces.append(len(items))
            await asyncio.sleep(0.001)
            return list(items)

        async def client(together, thinks):
            for number in range(4):
                assert await together.do(number) == number
                await asyncio.sleep(thinks)

        together = Together(work, pause=pause, patience=10)
        await asyncio.gather(*(client(together, number / 500) for number in range(12)))
        if pause:
            assert pieces == [12] * 4
        else:
            assert len(pieces) > 4

    async def test_pauses_for_nobody_who_is_alone(self):
        async def work(items):
            return list(items)

        together = Together(work, pause=60)
        async with asyncio.timeout(5):
            for number in range(10):
                assert await together.do(number) == number
