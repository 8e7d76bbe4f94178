"""A server without a wire that takes in transactions of others, and tells them of its rooms."""

import orjson

from federation.server.intake import Intake
from federation.server.origin_limits import OriginLimits
from federation.server.refusals import Refusals
from federation.server.room_access import RoomAccess
from federation.server.room_history import RoomHistoryForServers
from federation.server.room_queues import RoomQueues
from federation.server.room_states import RoomStatesForServers
from federation.server.staging import Staging
from federation.server.transactions import TransactionsFromServers
from homeserver.http.request import Request
from homeserver.rooms.outsiders import Outsiders
from homeserver.rooms.residency import Residency
from homeserver.rooms.room_servers import RoomServers
from homeserver.rooms.server_history import ServerHistory
from homeserver.rooms.server_sight import ServerSight
from homeserver.rooms.server_states import ServerStates
from storage.tables.erased_users import ErasedUsers
from tests.doubles.federated_rooms import KnownKeys, RoomsOfServer


class Published(list):
    """What was published; whoever follows is told."""

    followers = ()

    def extend(self, changes):
        super().extend(changes)
        for follow in self.followers:
            follow(changes)


class ReceivingServer(RoomsOfServer):
    """A `RoomsOfServer` with the endpoints for servers.

    Attributes:
        edus: those that came: (origin, EDUs).
    """

    def __init__(self, name, database, network, clock=None):
        super().__init__(name, database, network, clock)
        self.published = Published()
        self.edus = []
        self.queues = None
        self.erased_users = ErasedUsers(database)

    async def start(self):
        await super().start()
        room_servers = RoomServers(self.database, self.name)
        self.published.followers = (room_servers.follow,)
        self.access = RoomAccess(registry=self.registry, room_servers=room_servers)
        self.refusals = Refusals(self.observations.append)
        await self.start_queues()
        self.history = RoomHistoryForServers(
            access=self.access, history=ServerHistory(self.database, self.events), events=self.events,
            sight=ServerSight(
                queries=self.database, state_at=self.state_at, erased_users=self.erased_users
            ),
            rooms=self.registry.rooms, clock=self.clock, server_name=self.name,
        )  # fmt: skip
        self.states = RoomStatesForServers(
            access=self.access,
            states=ServerStates(database=self.database, events=self.events, state_at=self.state_at),
        )
        return self

    async def start_queues(self, receive=None):
        """Begin to take in events; whoever did so before is gone."""
        if self.queues is not None:
            await self.queues.close()
        outsiders = Outsiders(
            registry=self.registry, database=self.database, signatures=KnownKeys(self.network)
        )
        intake = Intake(ingest=self.ingest, outsiders=outsiders, residency=Residency(self.database))
        self.published.followers = (*self.published.followers[:1], intake.follow)
        self.staging = Staging(queries=self.database, clock=self.clock)
        self.queues = RoomQueues(
            receive=receive or intake.receive, staging=self.staging, refusals=self.refusals,
            observer=self.observations.append,
        )  # fmt: skip
        await self.queues.start()
        self.transactions = TransactionsFromServers(
            queues=self.queues, edus=self._take_edus, rooms=self.registry.rooms,
            limits=OriginLimits(self.clock), refusals=self.refusals,
        )  # fmt: skip

    async def stop(self):
        await self.queues.close()
        await super().stop()

    async def _take_edus(self, origin, edus):
        self.edus.append((origin, edus))

    async def put(self, origin, body, transaction_id="t"):
        """Send a transaction; returns the answer."""
        request = Request(
            "PUT", "/", {"transaction_id": transaction_id}, {}, body=body, origin=origin
        )
        return orjson.loads((await self.transactions.send_transaction(request)).body)

    async def send_to(self, origin, *events, transaction_id="t"):
        """Send events in a transaction; returns what has come of them."""
        body = {"origin": origin, "origin_server_ts": 1, "pdus": [dict(event.pdu) for event in events]}
        return (await self.put(origin, body, transaction_id))["pdus"]

    async def staged(self):
        """How many events wait for a place."""
        return (await self.database.fetch_one("SELECT count(*) FROM received_pdus"))[0]


async def ask(respond, origin, body=None, query=None, **parameters):
    """Ask an endpoint; returns the decoded answer."""
    listed = {
        name: value if isinstance(value, list) else [str(value)] for name, value in (query or {}).items()
    }
    request = Request("GET", "/", parameters, listed, body=body, origin=origin)
    return orjson.loads((await respond(request)).body)
