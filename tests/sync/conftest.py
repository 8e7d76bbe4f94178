import pytest

from tests.sync.sync_world import World


@pytest.fixture
async def world():
    """A world with sync started and no room in it."""
    world = World()
    await world.start()
    yield world
    world.notifier.stop()
