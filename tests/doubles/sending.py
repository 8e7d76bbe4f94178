"""A server's rooms with what sends to other servers, and the other servers as a script has them."""

import asyncio
import json

from federation.destinations import Destinations
from federation.sender.building import Building
from federation.sender.catch_up import CatchUp
from federation.sender.delivery import Delivery
from federation.sender.edus import EphemeralEdus
from federation.sender.outbox import Outbox
from federation.sender.recipients import Recipients
from federation.sender.sender import Sender
from homeserver.core.errors import NotFound, RemoteRefused, Unavailable
from homeserver.rooms.room_servers import RoomServers
from storage.write import Write
from tests.doubles.federated_rooms import HandClock, Network, RoomsOfServer

ALICE = "@alice:a.example"


class Published(list):
    """The changes that a journal publishes, for readers as well."""

    def __init__(self):
        super().__init__()
        self.readers = []

    def extend(self, changes):
        super().extend(changes)
        for reader in tuple(self.readers):
            reader(changes)


class Chance:
    """Random bytes that are never the same, and no chance."""

    count = 0

    def token_bytes(self, length_bytes):
        type(self).count += 1
        return type(self).count.to_bytes(length_bytes, "big")


class OtherServers:
    """Takes transactions.

    Attributes:
        taken: (destination, transaction ID, body), as they came.
        down: servers that do not answer.
        refuses: destination to a status, or to a function of the body that returns one or None.
        loses_answers: servers that take what comes, and whose answers get lost.
        errors: what is said against events, by ID.
    """

    def __init__(self, destinations=None):
        self.destinations = destinations
        self.taken = []
        self.tried = []
        self.down = set()
        self.loses_answers = set()
        self.refuses = {}
        self.errors = {}
        self.gate = None

    async def send(self, destination, transaction_id, body):
        self.destinations.check(destination)
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        self.tried.append((destination, transaction_id))
        if destination in self.down:
            self.destinations.failed(destination)
            raise Unavailable(f"{destination} does not answer.")
        refuses = self.refuses.get(destination)
        status = refuses(json.loads(body)) if callable(refuses) else refuses
        self.destinations.succeeded(destination)
        if status is not None:
            raise RemoteRefused(status, "M_UNKNOWN", "No.")
        self.taken.append((destination, transaction_id, body))
        if destination in self.loses_answers:
            self.destinations.failed(destination)
            raise Unavailable(f"{destination} was cut off.")
        return dict(self.errors)

    def bodies(self, destination):
        return [json.loads(body) for name, _, body in self.taken if name == destination]

    def pdus(self, destination):
        return [pdu for body in self.bodies(destination) for pdu in body["pdus"]]

    def said(self, destination):
        """What messages a server got, in their order."""
        return [pdu["content"]["body"] for pdu in self.pdus(destination) if pdu["type"] == "m.room.message"]

    def edus(self, destination, edu_type=None):
        return [
            edu["content"]
            for body in self.bodies(destination)
            for edu in body["edus"]
            if edu_type in {None, edu["edu_type"]}
        ]


class DeviceListsOfTest:
    """Every user has one device."""

    def __init__(self):
        self.devices = [{"device_id": "D1", "keys": {"user_id": "x"}}]

    async def list_for_server(self, user_id):
        if "gone" in user_id:
            raise NotFound("There is no such user.")
        return {"user_id": user_id, "stream_id": 1, "devices": self.devices, "master_key": {"usage": []}}


class SendingServer(RoomsOfServer):
    """Rooms whose events are sent to the servers in them.

    Attributes:
        others: those servers.
    """

    def __init__(self, database, clock=None):
        super().__init__("a.example", database, Network(), clock or HandClock())
        self.published = Published()
        self.others = OtherServers()
        self.device_lists = DeviceListsOfTest()

    async def start(self):
        await super().start()
        await self.start_sender()
        return self

    async def start_sender(self):
        """Start what sends, as a new process would."""
        database, observer, name = self.database, self.observations.append, self.name
        self.destinations = Destinations(
            database=database, clock=self.clock, randomness=Chance(), observer=observer,
            is_region=lambda name: name.startswith("region"),
        )  # fmt: skip
        await self.destinations.start()
        self.others.destinations = self.destinations
        self.room_servers = RoomServers(database, name)
        self.outbox = Outbox(queries=database, journal=self.journal, observer=observer, may_send=allowed)
        await self.outbox.start()
        building = Building(
            server_name=name, outbox=self.outbox, device_lists=self.device_lists, clock=self.clock,
            randomness=Chance(),
            catch_up=CatchUp(
                database=database, room_servers=self.room_servers, state=self.state, server_name=name
            ),
        )  # fmt: skip
        self.recipients = Recipients(
            queries=database, room_servers=self.room_servers, outbox=self.outbox, observer=observer,
            server_name=name, may_send=allowed,
        )  # fmt: skip
        self.sender = Sender(
            database=database, journal=self.journal, destinations=self.destinations,
            recipients=self.recipients, clock=self.clock, observer=observer,
            is_region=lambda server: server.startswith("region"),
            delivery=Delivery(
                building=building, transactions=self.others, destinations=self.destinations,
                outbox=self.outbox, clock=self.clock, observer=observer, linger_ms=0,
            ),
        )  # fmt: skip
        self.edus = EphemeralEdus(
            sender=self.sender, recipients=self.recipients, room_servers=self.room_servers,
            clock=self.clock, observer=observer, server_name=name,
        )  # fmt: skip
        self.published.readers = [self.room_servers.follow, self.sender.follow, self.edus.follow]
        await self.sender.start()

    async def crash_sender(self):
        """End what sends without a word, as a process that dies does."""
        self.published.readers = []
        for owner in (self.sender, self.recipients, self.edus):
            await owner._tasks.close()

    async def stop(self):
        await self.edus.close()
        await self.recipients.close()
        await self.sender.close()
        await super().stop()

    async def settle(self):
        """Wait until nothing is being sent or looked up."""
        owners = (self.sender._tasks, self.recipients._tasks, self.edus._tasks)
        idle = 0
        while idle < 3:
            await asyncio.sleep(0.001 if any(len(one) for one in owners) else 0)
            idle = 0 if any(len(one) for one in owners) else idle + 1

    async def later(self, ms):
        """Let time pass, and the sender do what is due then."""
        self.clock.ms += ms
        await self.sender.tick()
        await self.settle()

    async def let_in(self, room_id, user_id, membership="join"):
        """Let a user of another server come or go."""
        event = await self.member_event(room_id, user_id, {"membership": membership})
        await self.receive(user_id.partition(":")[2], room_id, event)
        return event

    async def message(self, messages, event_type="m.test", sender=ALICE):
        """Send messages to devices of other servers."""
        write = Write()
        self.outbox.send(write, sender, event_type, messages)
        if write.rows:
            await self.journal.append(write)


def allowed(server):
    return server != "denied.example"
