"""The disk of the database is full for a while."""

import pytest

from tests.faults.breaking import fill_the_disk
from tests.faults.small_disk import may_mount, small_disk
from tests.faults.trial import Trial

SEED = 20261127


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestFullDisk:
    async def test_breaks_no_promise_and_is_over_when_there_is_room_again(self, tmp_path):
        if not may_mount():
            pytest.skip("this machine or user may not mount a tmpfs")
        with small_disk(tmp_path, megabytes=250):
            async with Trial.running(tmp_path, SEED) as trial:
                await trial.goes_on()
                await fill_the_disk(trial)
                print(f"went on after {await trial.goes_on(120):.1f} s")  # noqa: T201
                assert await trial.finish() == []
