"""Worlds of whole servers that share a room while all goes wrong; `make simulate-whole` tries more of them.

SIMULATE_SEEDS says how many, SIMULATE_FIRST with which to begin.
"""

import os

import pytest

from tests.simulation.whole.world import WholeWorld

FIRST, SEEDS = int(os.environ.get("SIMULATE_FIRST", "1")), int(os.environ.get("SIMULATE_SEEDS", "10"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
async def test_whole_servers_agree_in_the_end(seed, open_databases, tmp_path):
    world = WholeWorld(seed, await open_databases(), tmp_path)
    try:
        await world.run()
    except BaseException:
        print(f"{world.story()}\n\nRun this alone: make simulate-whole SEEDS=1 FIRST={seed}")  # noqa: T201 - for whoever looks
        raise
