"""Reads that take their time while others write: whatever happens in between is told once."""

import asyncio
import random

import pytest

from tests.sync.sync_run import USERS, Run, check_increments
from tests.sync.sync_world import World

READS = [
    "memberships_of", "last_positions", "members_of", "events_until", "state_at", "state_changes",
    "membership_history", "visibility_history", "events", "account_data_after", "account_data_of_rooms",
    "account_data_of_types",
]  # fmt: skip


class SlowWorld(World):
    """A world whose reads let others run before they look and before they answer."""

    def __init__(self, seed):
        super().__init__()
        self.random = random.Random(seed)
        for name in READS:
            setattr(self, name, self.slowly(getattr(self, name)))

    def slowly(self, read):
        async def slow(*args, **options):
            await self.pause()
            answer = await read(*args, **options)
            await self.pause()
            return answer

        return slow

    async def pause(self):
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(60))
async def test_clients_that_sync_while_others_write_miss_nothing(seed):
    run = Run(seed, SlowWorld(seed))
    await run.world.start()
    writing = True

    async def follow(user_id):
        while writing:
            await run.follow(user_id)
            await run.world.pause()

    followers = [asyncio.create_task(follow(user_id)) for user_id in USERS]
    actions = [action for action in run.actions if action not in {run.catch_up, run.restart}]
    for _ in range(60):
        await run.random.choice(actions)()
        await run.world.pause()
    run.world.holds_back = False
    run.world.publish()
    writing = False
    await asyncio.gather(*followers)

    await check_increments(run)
