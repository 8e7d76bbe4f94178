"""Clients that poll over connections of their own, on a world of rooms in memory."""

import asyncio
import math
from urllib.parse import quote

import orjson
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock as ReactorClock
from twisted.internet.testing import StringTransport

from clients.endpoints.sync import SyncEndpoints
from clients.polling.lane import PollLane
from homeserver.core.errors import UnknownToken
from homeserver.core.requester import Admission
from homeserver.http.adapter import make_site
from homeserver.http.dispatch import Dispatcher
from homeserver.http.endpoint import endpoints_of
from homeserver.http.router import Router
from homeserver.sync.filters import Filters
from tests.sync.sync_world import World, requester


class Authenticator:
    """A token is the name of a user, until it is revoked."""

    def __init__(self):
        self.admissions = {}

    def known(self, token):
        if token not in self.admissions:
            self.admissions[token] = Admission(requester(f"@{token}:example.org"), math.inf)
        admission = self.admissions[token]
        return admission if admission.is_good else None

    async def authenticate(self, token):
        admission = self.known(token)
        if admission is None:
            raise UnknownToken("This session has ended.")
        return admission.requester

    def is_valid(self, admission):
        return admission.is_good


class Wire(StringTransport):
    aborted = False

    def abortConnection(self):  # noqa: N802 - Twisted's name
        self.aborted = True


class Server:
    """`GET /sync` with its shorter way, on a listener without sockets."""

    def __init__(self, world=None, *, presence=None):
        self.world = world or World()
        self.authenticator = Authenticator()
        self.presence = presence
        self.observations = []
        self.noted = []
        self.site = self.lane = None

    async def start(self):
        await self.world.start()
        filters = Filters(None)
        endpoints = SyncEndpoints(sync=self.world.sync, filters=filters, presence=self.presence)
        dispatcher = Dispatcher(
            router=Router(list(endpoints_of(endpoints))), authenticator=self.authenticator, rate_limits=None,
            observer=self.observations.append,
        )  # fmt: skip
        self.site = make_site(
            dispatcher, observer=self.observations.append, clock=self.world.clock, reactor=ReactorClock(),
            trust_forwarded_for=True,
        )  # fmt: skip
        self.lane = self.site.express = PollLane(
            sync=self.world.sync, filters=filters, authenticator=self.authenticator, presence=self.presence,
            note=lambda *noted: self.noted.append(noted), observer=self.observations.append,
            trust_forwarded_for=True,
        )  # fmt: skip

    async def close(self):
        await self.site.close()
        await self.lane.close()
        self.world.notifier.stop()


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


class Poller:
    """A client on one connection at a time."""

    def __init__(self, server, name, *, wanted=None, fields=""):
        self.server = server
        self.name = name
        self.query = "timeout=30000"
        if wanted is not None:
            self.query += "&filter=" + quote(orjson.dumps(wanted))
        self.fields = fields
        self.since = None
        self.waits = False
        self.wire = self.channel = None
        self.connect()

    def connect(self):
        self.channel = self.server.site.buildProtocol(None)
        self.wire = Wire(peerAddress=IPv4Address("TCP", "192.0.2.1", 54321))
        self.channel.makeConnection(self.wire)

    def hang_up(self):
        self.waits = False
        self.channel.connectionLost(None)
        self.connect()

    def ask(self, query=None):
        """Send a poll without looking for the answer."""
        since = "" if self.since is None else f"&since={self.since}"
        head = f"GET /_matrix/client/v3/sync?{query or self.query}{since} HTTP/1.1\r\nHost: localhost\r\n"
        self.wire.clear()
        self.waits = True
        self.channel.dataReceived(
            f"{head}{self.fields}Authorization: Bearer {self.name}\r\n\r\n".encode("latin-1")
        )

    def answer(self):
        """(status, body) of the answer, if there is one."""
        if not self.wire.value():
            return None
        self.waits = False
        head, _, body = self.wire.value().partition(b"\r\n\r\n")
        self.wire.clear()
        body = orjson.loads(body)
        self.since = body.get("next_batch", self.since)
        return int(head.split()[1]), body

    async def poll(self, query=None):
        """Send a poll and give the server time; (status, body), or None if it waits."""
        self.ask(query)
        await settle()
        return self.answer()

    @property
    def seat(self):
        """The client's seat, if it waits on one."""
        (request,) = self.channel.requests
        return request if request.__class__.__name__ == "Seat" else None

    async def take_a_seat(self):
        """Poll until there is nothing to tell, on a seat."""
        for _ in range(10):
            if await self.poll() is None:
                if self.seat is not None:
                    return
                self.hang_up()
        raise AssertionError("no seat")
