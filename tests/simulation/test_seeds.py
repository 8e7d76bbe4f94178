"""Worlds of servers that share a room while all goes wrong; `make simulate` tries more of them.

SIMULATE_SEEDS says how many, SIMULATE_FIRST with which to begin.
"""

import os

import pytest

from tests.simulation.world import World

FIRST, SEEDS = int(os.environ.get("SIMULATE_FIRST", "1")), int(os.environ.get("SIMULATE_SEEDS", "25"))


FAILED_ONCE = (698,)
"""Worlds that found bugs which no smaller test tells of."""


@pytest.mark.parametrize("seed", sorted({*range(FIRST, FIRST + SEEDS), *FAILED_ONCE}))
async def test_servers_agree_in_the_end(seed, open_databases):
    world = World(seed, await open_databases())
    try:
        await world.run()
    except BaseException:
        print(f"{world.story()}\n\nRun this alone: make simulate SEEDS=1 FIRST={seed}")  # noqa: T201 - for whoever looks
        raise


async def test_the_world_of_a_seed_is_the_same_each_time(open_databases):
    first = await World(FIRST, await open_databases()).run()
    second = await World(FIRST, await open_databases()).run()
    assert first == second
