"""Fixtures: two whole servers, and a user of each."""

import pytest

from tests.doubles.federated_servers import FederatedServer, Wire

__all__ = ["hal", "here", "tess", "there", "wire"]


@pytest.fixture
async def wire():
    return Wire()


@pytest.fixture
async def here(database, tmp_path, wire):
    """Start the server whose users do things to rooms of the other."""
    server = await FederatedServer("here.example", database, tmp_path / "here", wire).start()
    yield server
    await server.close()


@pytest.fixture
async def there(make_database, tmp_path, wire):
    """Start the other server, which a room is on."""
    server = await FederatedServer("there.example", await make_database(), tmp_path / "there", wire).start()
    yield server
    await server.close()


@pytest.fixture
async def hal(here):
    return await here.user("hal")


@pytest.fixture
async def tess(there):
    return await there.user("tess")
