import pytest

from tests.doubles.sending import ALICE, SendingServer


@pytest.fixture
async def server(database):
    server = await SendingServer(database).start()
    yield server
    await server.stop()


@pytest.fixture
async def room_id(server):
    """Make a room with a user of b.example in it, who is told of nothing yet."""
    room_id = await server.create(ALICE, preset="public_chat")
    await server.let_in(room_id, "@bob:b.example")
    await server.settle()
    server.others.taken.clear()
    return room_id
