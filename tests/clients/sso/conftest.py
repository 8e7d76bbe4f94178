import pytest

from tests.clients.sso.sso_world import SsoWorld


@pytest.fixture
async def stopped_world(database, tmp_path):
    """A server that knows one provider, and is to be configured and started."""
    world = SsoWorld(database, tmp_path)
    yield world
    await world.server.close()


@pytest.fixture
async def world(stopped_world):
    """A server that knows one provider."""
    await stopped_world.server.start()
    return stopped_world


@pytest.fixture
def browser(world):
    return world.browser()
