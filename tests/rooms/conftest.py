import pytest

from homeserver.core.signing import SigningKey
from homeserver.rooms.compose import Composer
from homeserver.rooms.loading import RoomLoading
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.sent_before import SentBefore
from homeserver.runtime.clock import SystemClock
from storage.tables.events import Events
from storage.tables.rooms import Rooms
from storage.tables.state import State
from storage.tables.state_groups import StateGroups
from storage.tables.transactions import Transactions
from tests.doubles.federated_pair import hal, here, tess, there, wire  # noqa: F401 - fixtures
from tests.doubles.federated_rooms import Network, RoomsOfServer
from tests.doubles.rooms import RoomsServer


@pytest.fixture
async def rooms_server(database, tmp_path):
    """Start a whole server without a socket: it makes the rooms that the registry of a test then holds."""
    server = await RoomsServer(database, tmp_path).start()
    yield server
    await server.close()


@pytest.fixture
async def alice(rooms_server):
    return await rooms_server.user("alice")


@pytest.fixture
async def requester(rooms_server, alice):
    return await rooms_server.services.access_tokens.authenticate(alice.token)


@pytest.fixture
async def room(alice):
    return await alice.create()


@pytest.fixture
def make_registry(rooms_server, database):
    """Make registries on the journal of the server; each room is to be used through one of them alone."""
    storage = rooms_server.storage
    signing_key = SigningKey.generate(bytes(32), "a_test")

    def make(**bounds):
        return RoomRegistry(
            composer=Composer(server_name="localhost", signing_key=signing_key, clock=SystemClock()),
            journal=storage.journal,
            interning=storage.interning,
            loading=RoomLoading(
                rooms=Rooms(database),
                events=Events(database),
                state=State(database, Events(database)),
                groups=StateGroups(database),
            ),
            sent_before=SentBefore(Transactions(database)),
            **bounds,
        )

    return make


@pytest.fixture
def registry(make_registry):
    return make_registry()


@pytest.fixture
async def network():
    return Network()


@pytest.fixture
async def a(database, network):
    server = await RoomsOfServer("a.example", database, network).start()
    yield server
    await server.stop()


@pytest.fixture
async def b(make_database, network):
    server = await RoomsOfServer("b.example", await make_database(), network).start()
    yield server
    await server.stop()
