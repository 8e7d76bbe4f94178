"""Initial sync now = older initial sync + increments, of all that there is in rooms."""

import asyncio

import pytest
from hypothesis import given, settings, strategies

from tests.sync.sliding_world import StoredSlidingWorld
from tests.sync.whole_run import WholeRun, check_whole


@given(
    seed=strategies.integers(min_value=0), steps=strategies.integers(min_value=1, max_value=100),
    is_lazy=strategies.booleans(), use_state_after=strategies.booleans(), connected=strategies.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_knocks_invites_left_and_forgotten_rooms_tags_and_receipts_add_up(
    seed, steps, is_lazy, use_state_after, connected
):
    async def check():
        run = WholeRun(seed, is_lazy=is_lazy, use_state_after=use_state_after, connected=connected)
        await run.go(steps)
        await check_whole(run)

    asyncio.run(check())


@pytest.mark.parametrize("seed", range(4))
async def test_so_it_is_on_the_real_database(database, seed):
    run = WholeRun(seed, StoredSlidingWorld(database), can_forget=False)
    await run.go(steps=60)

    await check_whole(run)
