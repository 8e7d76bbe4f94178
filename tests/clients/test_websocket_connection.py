"""A WebSocket connection with its services: requests, the pushed stream, flow control, resuming."""

import asyncio
import math

import orjson
import pytest

from clients.websocket.connection import Connection, Services
from clients.websocket.resume import DELTAS_MAX
from homeserver.core.errors import UnknownToken
from homeserver.core.filters import parse_filter
from homeserver.core.requester import Admission
from homeserver.http.response import Response
from homeserver.runtime.tasks import Tasks
from tests.sync.sync_client import Client
from tests.sync.sync_world import World, requester

ALICE = "@alice:example.org"
ROOM = "!room:example.org"


class Wire:
    """Keeps what is sent."""

    def __init__(self):
        self.frames = []
        self.closed = None
        self.reads = True

    def send(self, frame):
        if self.closed is None:
            self.frames.append(orjson.loads(frame))

    def close(self, code, reason):
        self.closed = code

    def pause_reading(self):
        self.reads = False

    def resume_reading(self):
        self.reads = True

    def take(self):
        frames, self.frames = self.frames, []
        return frames


class Responder:
    """Answers with what it was asked; slow paths wait until told."""

    body_bytes_max = 1000

    def __init__(self):
        self.go_on = asyncio.Event()
        self.cancelled = 0

    async def respond(self, raw):
        if raw.target == b"/slow":
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        asked = [raw.method, raw.target.decode(), raw.headers.get("authorization"), raw.body.decode()]
        return Response(body=orjson.dumps(asked))


class Authenticator:
    """Knows tokens."""

    def __init__(self):
        self.tokens = {"alice": requester(ALICE)}

    async def authenticate(self, token):
        if token not in self.tokens:
            raise UnknownToken("No such token.")
        return self.tokens[token]

    def known(self, token):
        return None if token not in self.tokens else Admission(self.tokens[token], math.inf)

    def is_valid(self, admission):
        return admission.requester in self.tokens.values()


class Filters:
    async def chosen(self, user_id, text):
        return parse_filter(text or {})


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.fixture
async def house():
    house = House()
    await house.world.start()
    yield house
    await house.tasks.close()
    house.world.notifier.stop()
    assert house.failures == []


class House:
    """A server without a network."""

    def __init__(self):
        self.world = World()
        self.failures = []
        self.tasks = Tasks(self.failures.append)
        self.responder = Responder()
        self.authenticator = Authenticator()

    def connect(self, token="alice"):
        services = Services(
            responder=self.responder,
            authenticator=self.authenticator,
            sync=self.world.sync,
            filters=Filters(),
            tasks=self.tasks,
        )
        wire = Wire()
        return Connection(services, wire, access_token=token), wire


def say(connection, **frame):
    connection.message(orjson.dumps(frame))


async def test_a_request_is_answered_with_the_token_of_the_connection(house):
    connection, wire = house.connect()

    say(connection, id=1, method="PUT", path="/x?y=1", body={"a": 1})
    await settle()

    assert wire.take() == [{"id": 1, "status": 200, "body": ["PUT", "/x?y=1", "Bearer alice", '{"a":1}']}]


async def test_answers_come_as_they_are_ready(house):
    connection, wire = house.connect(None)

    say(connection, id="slow", method="GET", path="/slow")
    say(connection, id="fast", method="GET", path="/fast")
    await settle()
    house.responder.go_on.set()
    await settle()

    assert [frame["id"] for frame in wire.take()] == ["fast", "slow"]


async def test_a_lost_connection_cancels_its_requests(house):
    connection, wire = house.connect()
    say(connection, id=1, method="GET", path="/slow")
    await settle()

    connection.lost()
    await settle()

    assert house.responder.cancelled == 1
    assert wire.frames == []
    assert len(house.tasks) == 0


async def test_deltas_are_pushed_as_they_are_committed(house):
    house.world.create(ROOM, ALICE)
    connection, wire = house.connect()
    say(connection, sync={})
    await settle()
    (first,) = wire.take()
    assert ROOM in first["sync"]["rooms"]["join"]

    sent = house.world.send(ROOM, ALICE, body="news")
    await settle()

    (delta,) = wire.take()
    (event,) = delta["sync"]["rooms"]["join"][ROOM]["timeline"]["events"]
    assert event["event_id"] == sent


async def test_account_data_is_pushed_to_its_user_and_to_nobody_else(house):
    house.world.create(ROOM, ALICE)
    connection, wire = house.connect()
    say(connection, sync={})
    await settle()
    wire.take()

    house.world.keep("@bob:example.org", "m.direct", {"n": 1})
    house.world.keep(ALICE, "m.tag", {"tags": {}}, ROOM)
    await settle()

    (delta,) = wire.take()
    tag = {"type": "m.tag", "content": {"tags": {}}}
    assert delta["sync"].keys() == {"next_batch", "rooms"}
    assert delta["sync"]["rooms"] == {"join": {ROOM: {"account_data": {"events": [tag]}}}}


async def test_the_first_delta_comes_even_if_empty_so_that_there_is_a_token(house):
    connection, wire = house.connect()
    say(connection, sync={})
    await settle()
    token = wire.take()[0]["sync"]["next_batch"]

    say(connection, sync={"since": token})
    await settle()

    (frame,) = wire.take()
    counts = {"device_one_time_keys_count": {"signed_curve25519": 0}, "device_unused_fallback_key_types": []}
    assert frame == {"sync": {"next_batch": token, **counts}}


async def test_a_client_that_does_not_acknowledge_gets_coalesced_deltas_later(house):
    house.world.create(ROOM, ALICE)
    connection, wire = house.connect()
    client = Client()
    say(connection, sync={})
    for number in range(DELTAS_MAX + 50):
        house.world.send(ROOM, ALICE, body=str(number))
        await settle()
    frames = wire.take()
    assert len(frames) == DELTAS_MAX
    for frame in frames:
        client.apply(orjson.dumps(frame["sync"]))

    say(connection, ack=client.since)
    await settle()

    (coalesced,) = wire.take()
    client.apply(orjson.dumps(coalesced["sync"]))
    assert client.joined[ROOM].timeline == house.world.event_ids(ROOM)


async def test_a_client_that_does_not_read_is_neither_written_to_nor_read_from(house):
    house.world.create(ROOM, ALICE)
    connection, wire = house.connect()
    say(connection, sync={})
    await settle()
    wire.take()

    connection.pause()
    house.world.send(ROOM, ALICE, body="one")
    await settle()
    house.world.send(ROOM, ALICE, body="two")
    await settle()
    assert wire.take() == []
    assert not wire.reads
    connection.resume()
    await settle()

    (delta,) = wire.take()
    assert len(delta["sync"]["rooms"]["join"][ROOM]["timeline"]["events"]) == 2
    assert wire.reads


async def test_a_large_backlog_comes_in_pages_without_a_gap(house):
    house.world.create(ROOM, ALICE)
    connection, wire = house.connect()
    client = Client()
    say(connection, sync={})
    await settle()
    for frame in wire.take():
        client.apply(orjson.dumps(frame["sync"]))
    connection.pause()
    for number in range(450):
        house.world.send(ROOM, ALICE, body=str(number))
    connection.resume()
    await settle()

    frames = wire.take()
    for frame in frames:
        client.apply(orjson.dumps(frame["sync"]))
    assert len(frames) == 5
    assert client.joined[ROOM].gaps == 0
    assert client.joined[ROOM].timeline == house.world.event_ids(ROOM)


async def test_resuming_after_broken_connections_and_restarts_loses_and_repeats_nothing(house):
    house.world.create(ROOM, ALICE)
    client = Client()
    for round_number in range(20):
        connection, wire = house.connect()
        say(connection, sync={"since": client.since} if client.since else {})
        await settle()
        for number in range(7):
            house.world.send(ROOM, ALICE, body=f"{round_number} {number}")
            await settle()
        frames = wire.take()
        # The connection breaks with some deltas on their way.
        for frame in frames[: 1 + round_number % len(frames)]:
            client.apply(orjson.dumps(frame["sync"]))
        connection.lost()
        if round_number % 5 == 0:
            await house.world.start()
    connection, wire = house.connect()
    say(connection, sync={"since": client.since})
    await settle()
    for frame in wire.take():
        client.apply(orjson.dumps(frame["sync"]))

    assert client.joined[ROOM].gaps == 0
    assert client.joined[ROOM].timeline == house.world.event_ids(ROOM)


async def test_a_session_that_is_logged_out_hears_no_more(house):
    house.world.create(ROOM, ALICE)
    connection, wire = house.connect()
    say(connection, sync={})
    await settle()
    wire.take()

    house.authenticator.tokens.clear()
    house.world.send(ROOM, ALICE, body="secret")
    await settle()

    (frame,) = wire.take()
    assert frame["error"]["errcode"] == "M_UNKNOWN_TOKEN"
    assert frame["stream"] is True


@pytest.mark.parametrize(
    ("token", "options", "errcode"),
    [
        (None, {}, "M_MISSING_TOKEN"),
        ("eve", {}, "M_UNKNOWN_TOKEN"),
        ("alice", {"since": "nonsense"}, "M_INVALID_PARAM"),
        ("alice", {"filter": '{"room":1}'}, "M_BAD_JSON"),
    ],
)
async def test_a_stream_that_cannot_start_says_why(house, token, options, errcode):
    connection, wire = house.connect(token)

    say(connection, sync=options)
    await settle()

    (frame,) = wire.take()
    assert frame["error"]["errcode"] == errcode
    assert frame["stream"] is True


async def test_stop_ends_the_stream_but_not_the_connection(house):
    house.world.create(ROOM, ALICE)
    connection, wire = house.connect()
    say(connection, sync={})
    await settle()
    wire.take()

    say(connection, stop=True)
    house.world.send(ROOM, ALICE, body="unheard")
    say(connection, id=1, method="GET", path="/x")
    await settle()

    assert [frame.get("id") for frame in wire.take()] == [1]


async def test_a_server_that_stops_closes_and_lets_go(house):
    connection, wire = house.connect()
    say(connection, sync={})
    say(connection, id=1, method="GET", path="/slow")
    await settle()

    connection.close()
    await settle()

    assert wire.closed == 1001
    assert len(house.tasks) == 0
