import pytest

from tests.sync.sliding_world import SlidingWorld
from tests.sync.sync_world import World


@pytest.fixture
async def world():
    """A world with sync started and no room in it."""
    world = World()
    await world.start()
    yield world
    world.notifier.stop()


@pytest.fixture
async def sliding():
    """A world with sliding sync started and no room in it."""
    world = SlidingWorld()
    await world.start()
    yield world
    world.stop()
