"""One whole server of the simulation: the application's own wiring on a database and a network that fail."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

from federation.client.aliases import RemoteAliases
from federation.client.availability import AlwaysAvailable
from federation.client.client import FederationClient
from federation.client.events import RemoteEvents
from federation.client.joins import FederatedJoins
from federation.client.keys import FederationKeys
from federation.server.authentication import Servers
from homeserver.app.build_identity import build_identity, server_rules
from homeserver.app.build_outgoing import unfederated
from homeserver.app.build_receiving import RemotePorts
from homeserver.app.build_sending import build_waiting
from homeserver.app.data_directory import DataDirectory
from homeserver.core.errors import Unavailable
from storage.tables.events import Events
from storage.tables.state import State
from tests.doubles.federated_servers import FederatedServer
from tests.simulation.faults import FaultyDatabase, FaultyLane
from tests.simulation.node import NodeOfRoom

DRAINED_S_MAX = 20.0


class WholeServer(FederatedServer):
    """The application's wiring, with real signatures; only the sockets are not there."""

    def __init__(self, name, database, directory, network, clock, fuse):
        super().__init__(name, FaultyDatabase(database, fuse), directory, network)
        self.clock = clock
        self.fuse = fuse
        self.published = []

    async def start(self):
        await super().start()
        journal = self.storage.journal
        journal._lane = FaultyLane(journal._lane, self.fuse)
        self.stack.callback(self.storage.bus.subscribe(self.published.extend))
        return self

    async def outgoing(self, runtime):
        exchanges = self.wire.exchanges(self.name)
        own = DataDirectory(Path(self.configuration.data_directory), runtime.randomness).own_keys(self.name)
        nowhere, rules = unfederated(runtime), server_rules(self.configuration)
        waiting = await build_waiting(
            self.name, runtime, self.storage, nowhere.regions, rules, self.stack
        )

        def client(availability):
            return FederationClient(
                server_name=self.name, key=own.signing_key, exchanges=exchanges, availability=availability,
                may_ask=rules.allow,
            )  # fmt: skip

        asks = client(waiting.destinations)
        identity = build_identity(
            self.configuration, runtime, self.storage, own, client(AlwaysAvailable()), self.stack
        )
        servers = Servers(
            server_name=self.name, signatures=identity.key_ring, may_speak_with=rules.allow,
            heard_from=waiting.destinations.heard_from,
        )  # fmt: skip
        return replace(
            nowhere, servers=servers, identity=identity, client=asks,
            ports=RemotePorts(RemoteEvents(asks), identity.key_ring, nowhere.ports.policy),
            keys=FederationKeys(asks), waiting=waiting, devices=waiting.outbox, joins=FederatedJoins(asks),
            directory=RemoteAliases(asks),
        )  # fmt: skip

    # What the checkers of the simulation look at.

    @property
    def registry(self):
        return self.services.rooms.registry

    async def extremities(self, room_id):
        room = await self.registry.actor(room_id)
        await self.registry.settled(room)
        return {one.event.event_id for one in room.extremities}

    async def current(self, room_id):
        room = await self.registry.actor(room_id)
        await self.registry.settled(room)
        state = State(self.database, Events(self.database))
        found = [one.event for one in await state.current(room.room_nid)]
        return {(one.type, one.state_key): one.event_id for one in found}


class WholeNode(NodeOfRoom):
    """A server with users who ask by its client API.

    Attributes:
        people: its users.
    """

    def __init__(self, name, database, directory, network, skew_ms):
        super().__init__(name, database, network, skew_ms)
        self.people = []
        self._directory = directory

    @property
    def users(self):
        return [one.user_id for one in self.people]

    async def start(self):
        self.fuse.clear()
        self.fuse.is_blown = False
        self.state_at_start = await self.current_state()
        server = WholeServer(self.name, self.plain, self._directory, self.network, self.clock, self.fuse)
        self.server = await server.start()
        for one in self.people:
            one.server = self.server

    async def stop(self):
        server, self.server = self.server, None
        await server.close()

    async def crash(self):
        """Go down without a word: from here on nothing is written."""
        self.fuse.is_blown = True
        self.network.servers.pop(self.name, None)
        server, self.server = self.server, None
        journal = server.storage.journal
        journal._lease.is_lost = True
        with contextlib.suppress(Unavailable):
            await server.close()

    async def event_ids(self):
        rows = await self.plain.fetch("SELECT event_id FROM events")
        return {event_id for (event_id,) in rows}

    async def is_resident(self):
        """Whether it takes somebody of its own to be in the room."""
        return bool(await self.members())

    # What it has still to do.

    async def tick(self):
        """Do what is due: send, and take up what is written down."""
        with contextlib.suppress(Unavailable):
            await self.server.federation.sender.tick()
            await self._queues.look()

    @property
    def _queues(self):
        return self.server.federation.received[0]._queues

    async def work(self):
        """Name what waits: for other servers, or to be placed here."""
        found = [
            f"{self.name} → {queue.name}: {queue.in_flight} {list(queue.live)} {queue.behind} {queue.users}"
            for queue in self.server.federation.sender.queues.values()
            if queue.has_work
        ]
        found += [f"{self.name} places events of {room_id}" for room_id in self._queues._rooms]
        rows = await self.plain.fetch("SELECT origin, event_id, attempts FROM received_pdus")
        return found + [f"{self.name} has put off {row}" for row in rows]


async def drained(nodes, network):
    """Let servers work until nothing is left to send or to place; their clocks go on meanwhile."""
    deadline, calm, busy = asyncio.get_running_loop().time() + DRAINED_S_MAX, 0, []
    while calm < 2:
        assert asyncio.get_running_loop().time() < deadline, f"servers do not come to an end: {busy}"
        for node in nodes:
            node.clock.ms += 120_000
            await node.tick()
        await asyncio.sleep(0.01)
        busy = [one for node in nodes for one in await node.work()]
        calm = 0 if busy or network.under_way else calm + 1
