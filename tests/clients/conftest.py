import pytest

from tests.doubles.rooms import RoomsServer


@pytest.fixture
async def rooms_server(database, tmp_path):
    """Start a whole server without a socket."""
    server = await RoomsServer(database, tmp_path).start()
    yield server
    await server.close()


@pytest.fixture
async def alice(rooms_server):
    return await rooms_server.user("alice")


@pytest.fixture
async def bob(rooms_server):
    return await rooms_server.user("bob")


@pytest.fixture
async def carol(rooms_server):
    return await rooms_server.user("carol")


@pytest.fixture
async def admin(rooms_server):
    """Register an administrator of the server."""
    user = await rooms_server.user("admin")
    await rooms_server.database.execute(
        "UPDATE accounts SET is_admin = true WHERE user_id = %b", user.user_id
    )
    return user
