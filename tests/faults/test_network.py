"""The line between the hub and both its database and its clients is cut without a word."""

import asyncio

import pytest

from tests.faults.namespace import may_make_namespaces, namespace
from tests.faults.trial import Trial

SEED = 20261201


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestLine:
    async def test_that_is_cut_for_a_while_breaks_no_promise(self, tmp_path):
        if not may_make_namespaces():
            pytest.skip("this machine or user may not make network namespaces")
        with namespace() as own:
            async with Trial.running(tmp_path, SEED, behind=own) as trial:
                await trial.goes_on()
                for seconds in (1, 12):  # the second is longer than the dispatcher's connection lives
                    own.cut()
                    await asyncio.sleep(seconds)
                    own.mend()
                    print(f"cut for {seconds} s: went on after {await trial.goes_on(120):.1f} s")  # noqa: T201
                assert await trial.finish() == []
