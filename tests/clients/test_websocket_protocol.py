"""The WebSocket on the wire: the handshake through our HTTP, frames in and out, limits and closing."""

import asyncio
import base64
import math
import os
import struct
import sys

import orjson
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock as ReactorClock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from clients.websocket.connection import Services
from clients.websocket.protocol import PATH, SUBPROTOCOL, WebSockets
from homeserver.core.filters import Filter
from homeserver.core.requester import Admission
from homeserver.http.adapter import make_site, websocket_upgrade
from homeserver.http.response import Response
from homeserver.runtime.tasks import Tasks
from tests.sync.sync_world import World, requester

ALICE = "@alice:example.org"
ROOM = "!room:example.org"


class Responder:
    body_bytes_max = 1000

    async def respond(self, raw):
        asked = [raw.target.decode(), raw.headers.get("authorization"), raw.client_address]
        return Response(body=orjson.dumps(asked))


class Authenticator:
    async def authenticate(self, token):
        return requester(ALICE)

    def known(self, token):
        return Admission(requester(ALICE), math.inf)

    def is_valid(self, admission):
        return True


class Filters:
    async def chosen(self, user_id, text):
        return Filter()


class Wire(StringTransport):
    aborted = False

    def abortConnection(self):  # noqa: N802 - Twisted's name
        self.aborted = True

    def unregisterProducer(self):  # noqa: N802 - Twisted's name
        self.producer = None  # real transports do not mind either if there is none

    def loseWriteConnection(self):  # noqa: N802 - Twisted's name
        pass


class Door:
    """A listener with the WebSocket behind it."""

    def __init__(self, world):
        self.world = world
        self.tasks = Tasks(print)
        reactor = ReactorClock()
        services = Services(
            responder=Responder(),
            authenticator=Authenticator(),
            sync=world.sync,
            filters=Filters(),
            tasks=self.tasks,
        )
        self.websockets = WebSockets(services, reactor)
        self.site = make_site(
            Responder(),
            observer=print,
            clock=world.clock,
            reactor=reactor,
            upgrades={PATH: websocket_upgrade(self.websockets.factory)},
        )

    async def open(self, query="", subprotocol=SUBPROTOCOL, **headers):
        wire = Wire(peerAddress=IPv4Address("TCP", "192.0.2.1", 54321))
        channel = self.site.buildProtocol(None)
        channel.makeConnection(wire)
        wire.protocol = channel
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {PATH}{query} HTTP/1.1", "Host: example.org", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {subprotocol}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]  # fmt: skip
        channel.dataReceived("\r\n".join([*lines, "", ""]).encode())
        await settle()
        return Peer(wire)


class Peer:
    """The client's end of a connection."""

    def __init__(self, wire):
        self.wire = wire

    async def say(self, payload, opcode=1):
        mask = b"\x01\x02\x03\x04"
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        size = len(payload)
        head = bytes([0x80 | opcode, 0x80 | size]) if size < 126 else None
        if head is None:
            head = bytes([0x80 | opcode, 0x80 | 126]) + struct.pack("!H", size)
        self.wire.protocol.dataReceived(head + mask + masked)
        await settle()

    def take(self):
        """Every frame that has come: (opcode, payload)."""
        data, frames = self.wire.value(), []
        self.wire.clear()
        while data:
            size, place = data[1], 2
            if size == 126:
                size, place = struct.unpack("!H", data[2:4])[0], 4
            elif size == 127:
                size, place = struct.unpack("!Q", data[2:10])[0], 10
            frames.append((data[0] & 15, data[place : place + size]))
            data = data[place + size :]
        return frames

    def head(self):
        head, _, _ = self.wire.value().partition(b"\r\n\r\n")
        self.wire.clear()
        return head.decode() + "\r\n"


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.fixture
async def door(world):
    door = Door(world)
    yield door
    await door.websockets.close()


@pytest.fixture
async def world():
    world = World()
    await world.start()
    yield world
    world.notifier.stop()


async def test_the_handshake_agrees_on_the_subprotocol(door):
    head = (await door.open()).head()

    assert head.startswith("HTTP/1.1 101 ")
    assert f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n" in head


async def test_an_open_connection_keeps_little_of_the_handshake(door):
    peer = await door.open()

    (protocol,) = [one for one in [peer.wire.producer] if one is not None]

    assert len(vars(protocol)) < 30
    assert sys.getsizeof(vars(protocol)) < 1_300
    assert protocol.autoPingInterval > 0
    assert not protocol.failedByMe


async def test_another_subprotocol_is_refused(door):
    assert (await door.open(subprotocol="chat")).head().startswith("HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("query", "headers"),
    [("", {"Authorization": "Bearer secret"}), ("?access_token=secret", {})],
)
async def test_a_request_has_the_token_of_the_handshake_and_the_address(door, query, headers):
    peer = await door.open(query, **headers)
    peer.head()

    await peer.say(b'{"id":1,"method":"GET","path":"/x"}')

    ((opcode, payload),) = peer.take()
    assert opcode == 1
    assert orjson.loads(payload)["body"] == ["/x", "Bearer secret", "192.0.2.1"]


@pytest.mark.parametrize("size", [10, 1_000, 200_000])
async def test_deltas_of_any_size_are_pushed(door, size):
    door.world.create(ROOM, ALICE)
    peer = await door.open(Authorization="Bearer secret")
    peer.head()
    await peer.say(b'{"sync":{}}')
    peer.take()

    door.world.send(ROOM, ALICE, body="x" * size)
    await settle()

    ((_, payload),) = peer.take()
    (event,) = orjson.loads(payload)["sync"]["rooms"]["join"][ROOM]["timeline"]["events"]
    assert len(event["content"]["body"]) == size


async def test_a_transport_that_is_full_holds_deltas_back(door):
    door.world.create(ROOM, ALICE)
    peer = await door.open(Authorization="Bearer secret")
    peer.head()
    await peer.say(b'{"sync":{}}')
    peer.take()

    peer.wire.producer.pauseProducing()
    door.world.send(ROOM, ALICE, body="later")
    await settle()
    assert peer.take() == []
    assert peer.wire.producerState == "paused"
    peer.wire.producer.resumeProducing()
    await settle()

    assert len(peer.take()) == 1


@pytest.mark.parametrize(("message", "opcode", "code"), [(b"{}", 2, 1003), (b"x" * 6_000, 1, 1009)])
async def test_binary_and_oversized_messages_close_the_connection(door, message, opcode, code):
    peer = await door.open()
    peer.head()

    await peer.say(message, opcode)

    ((answered, payload),) = peer.take()
    assert answered == 8
    assert struct.unpack("!H", payload[:2])[0] == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002), (struct.pack("!H", 999), 1002), (struct.pack("!H", 1005), 1002),
        (struct.pack("!H", 5000), 1002), (struct.pack("!H", 1000) + b"x" * 124, 1002),
        (struct.pack("!H", 1000) + b"\xff", 1007),
    ],
)  # fmt: skip
async def test_a_malformed_close_is_answered_with_a_close_that_says_why(door, payload, code):
    peer = await door.open()
    peer.head()

    await peer.say(payload, 8)
    await peer.say(b"x" * 5_000)  # whatever follows is nobody's concern

    ((opcode, answer),) = peer.take()
    assert opcode == 8
    assert struct.unpack("!H", answer[:2])[0] == code
    assert answer[2:]
    assert not peer.wire.aborted  # it would take with it what waits to be sent


@pytest.mark.parametrize("payload", [b"", struct.pack("!H", 1000), b"\x13\x87" + "bye ✓".encode()])
async def test_a_good_close_is_answered_and_the_connection_ends(door, payload):
    peer = await door.open()
    peer.head()

    await peer.say(payload, 8)

    assert peer.take() == [(8, struct.pack("!H", 1000))]
    assert peer.wire.disconnecting


async def test_a_close_that_comes_in_pieces_is_read_as_a_whole(door):
    peer = await door.open()
    peer.head()
    for byte in b"\x88\xfe\x00\x80" + b"\0" * 4 + b"\x03\xe8" + b"x" * 126:
        peer.wire.protocol.dataReceived(bytes((byte,)))

    ((opcode, answer),) = peer.take()
    assert (opcode, struct.unpack("!H", answer[:2])[0]) == (8, 1002)
    assert not peer.wire.aborted


async def test_a_lost_connection_lets_go(door):
    peer = await door.open(Authorization="Bearer secret")
    await peer.say(b'{"sync":{}}')
    assert len(door.tasks) == 1

    peer.wire.protocol.connectionLost(Failure(ConnectionLost()))
    await settle()

    assert len(door.tasks) == 0
    assert door.websockets.factory.connections == set()


async def test_a_server_that_stops_says_so(door):
    peer = await door.open(Authorization="Bearer secret")
    await peer.say(b'{"sync":{}}')
    peer.head()

    await door.websockets.close()

    ((opcode, payload),) = peer.take()
    assert opcode == 8
    assert struct.unpack("!H", payload[:2])[0] == 1001
