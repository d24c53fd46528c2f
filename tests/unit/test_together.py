"""Small pieces of work that arrive together."""

import asyncio

import pytest

from app.services.together import Together


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
