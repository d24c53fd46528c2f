"""A process, or PostgreSQL, dies between two lines of which one is done and the other is not."""

import pytest

from tests.faults.breaking import POINTS, kill_a_worker_at, kill_postgresql_at
from tests.faults.trial import Trial

SEED = 20261202


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestNamedPoints:
    @pytest.mark.parametrize("kill", [kill_a_worker_at, kill_postgresql_at])
    async def test_are_all_survived(self, tmp_path, kill):
        async with Trial.running(tmp_path, SEED, dying=True) as trial:
            await trial.goes_on()
            for point in POINTS:
                await kill(trial, point)
                print(f"{point}: went on after {await trial.goes_on(90):.1f} s")  # noqa: T201
            assert await trial.finish() == []
            print(f"{len(trial.sent)} messages, all there")  # noqa: T201
