import pytest

from tests.doubles.federated_rooms import HandClock, Network
from tests.doubles.receiving import ReceivingServer


@pytest.fixture
def network():
    return Network()


@pytest.fixture
async def here(database, network):
    """Give the server that is asked."""
    server = await ReceivingServer("here.example", database, network).start()
    yield server
    await server.stop()


@pytest.fixture
async def there(make_database, network):
    """Give the server that asks."""
    clock = HandClock(1_760_000_100_000)  # what it says comes later
    server = await ReceivingServer("there.example", await make_database(), network, clock).start()
    yield server
    await server.stop()


@pytest.fixture
async def room_id(here, there):
    """Give a room of Alice here, in which Bob is from there."""
    room_id = await here.create("@alice:here.example", preset="public_chat")
    await there.join("@bob:there.example", room_id, here)
    return room_id
