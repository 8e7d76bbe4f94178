"""Initial sync now = older initial sync + increments, whatever happened, and however little is remembered."""

import asyncio
import random

import pytest
from hypothesis import given, settings, strategies

from homeserver.sync.request import SyncRequest
from tests.sync.sync_client import Client
from tests.sync.sync_run import ROOMS, USERS, Run, check_increments
from tests.sync.sync_world import World, requester


@pytest.mark.parametrize("seed", range(150))
async def test_an_initial_sync_equals_an_older_one_and_the_increments(seed):
    run = Run(seed)
    await run.go(steps=80)

    await check_increments(run)


@given(
    seed=strategies.integers(min_value=0), steps=strategies.integers(min_value=1, max_value=100),
    is_lazy=strategies.booleans(), use_state_after=strategies.booleans(), connected=strategies.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_so_it_is_however_a_client_asks_and_on_a_lasting_connection(
    seed, steps, is_lazy, use_state_after, connected
):
    async def check():
        run = Run(seed, is_lazy=is_lazy, use_state_after=use_state_after, connected=connected)
        await run.go(steps)
        await check_increments(run)

    asyncio.run(check())


@pytest.mark.parametrize("seed", range(30))
async def test_paging_forward_skips_nothing_and_repeats_nothing(seed):
    chance = random.Random(seed)
    world = World()
    await world.start()
    for room_id in ROOMS:
        world.create(room_id, USERS[0])
    client = Client()
    request = SyncRequest(requester(USERS[0]), timeline_limit_default=5, events_max=5)
    async with world.sync.following(request) as follower:
        delta, more = await follower.look()
        client.apply(delta.body)
        told = {room_id: list(room.timeline) for room_id, room in client.joined.items()}
        gaps = {room_id: room.gaps for room_id, room in client.joined.items()}
        for _ in range(chance.randrange(80)):
            for _ in range(chance.choice([0, 1, 30])):
                world.send(chance.choice(ROOMS), USERS[0], body="news")
            delta, more = await follower.look()
            client.apply(delta.body)
        while more:
            delta, more = await follower.look()
            client.apply(delta.body)

    for room_id, room in client.joined.items():
        assert room.gaps == gaps[room_id]
        assert room.timeline == world.event_ids(room_id)[-len(room.timeline) :]
        assert room.timeline[: len(told[room_id])] == told[room_id]
    world.notifier.stop()
