"""Thread subscriptions over the WebSocket: pushed to who asks, on a connection that comes and goes."""

import asyncio

import orjson
import pytest

from clients.websocket.connection import Connection
from clients.websocket.connection import Services as WebSocketServices
from clients.websocket_client.delta import Delta
from homeserver.runtime.tasks import Tasks
from tests.clients.test_keys_over_websocket import Wire
from tests.clients.test_thread_subscriptions import PAGES, call, delete, put

QUIET = ("presence", "device_one_time_keys_count", "device_unused_fallback_key_types")


@pytest.fixture
async def connect(rooms_server):
    """Connect a user over the WebSocket."""
    services, tasks, connections = rooms_server.services, Tasks(rooms_server.failures.append), []
    shared = WebSocketServices(
        responder=rooms_server.dispatcher, authenticator=services.access_tokens, sync=services.sync,
        filters=services.filters, tasks=tasks,
    )  # fmt: skip

    def connected(user, **options):
        wire = Wire()
        connections.append(Connection(shared, wire, access_token=user.token))
        connections[-1].message(orjson.dumps({"sync": options}))
        return wire, connections[-1]

    yield connected
    for each in connections:
        each.lost()
    await tasks.close()
    assert rooms_server.failures == []


@pytest.fixture
async def room(alice):
    return await alice.create()


def told_in(delta):
    return Delta(delta).thread_subscriptions


async def test_who_asks_is_told_what_there_is_and_what_changes(alice, room, connect):
    root, other = await alice.send(room), await alice.send(room)
    await put(alice, room, root)
    wire, _ = connect(alice, thread_subscriptions=True)
    told = told_in(await wire.delta())
    assert set(told["subscribed"][room]) == {root}
    stamp = told["subscribed"][room][root]["bump_stamp"]

    await put(alice, room, other)
    told = told_in(await wire.delta(without=QUIET))
    assert told["subscribed"][room][other]["automatic"] is False
    await delete(alice, room, root)
    told = told_in(await wire.delta(without=QUIET))
    assert list(told) == ["unsubscribed"]
    assert told["unsubscribed"][room][root]["bump_stamp"] > stamp
    await alice.send(room)
    assert told_in(await wire.delta(without=QUIET)) == {}


async def test_who_does_not_ask_is_told_nothing_and_not_woken_by_it(alice, room, connect):
    root = await alice.send(room)
    wire, _ = connect(alice)
    await wire.delta()
    await put(alice, room, root)
    await alice.send(room)
    delta = await wire.delta(without=QUIET)
    assert told_in(delta) == {}
    assert "rooms" in delta
    assert wire.frames.empty()


async def test_who_resumes_is_told_what_changed_meanwhile_also_after_a_restart(
    rooms_server, alice, room, connect
):
    roots = [await alice.send(room) for _ in range(3)]
    await put(alice, room, roots[0])
    wire, connection = connect(alice, thread_subscriptions=True)
    since = (await wire.delta())["next_batch"]
    connection.lost()
    await put(alice, room, roots[1])
    wire, connection = connect(alice, since=since, thread_subscriptions=True)
    delta = await wire.delta(without=QUIET)
    assert set(told_in(delta)["subscribed"][room]) == {roots[1]}
    connection.lost()
    await put(alice, room, roots[2])
    await rooms_server.restart()

    shared = WebSocketServices(
        responder=rooms_server.dispatcher, authenticator=rooms_server.services.access_tokens,
        sync=rooms_server.services.sync, filters=rooms_server.services.filters,
        tasks=Tasks(rooms_server.failures.append),
    )  # fmt: skip
    wire = Wire()
    connection = Connection(shared, wire, access_token=alice.token)
    asked = {"since": delta["next_batch"], "thread_subscriptions": True}
    connection.message(orjson.dumps({"sync": asked}))
    delta = await wire.delta(without=QUIET)
    assert set(told_in(delta)["subscribed"][room]) == {roots[2]}
    connection.lost()
    # What an answer has no room for is found with the token of the delta before, too.
    _, page = await call(alice, "GET", f"{PAGES}?dir=b&to={since}")
    assert set(page["subscribed"][room]) == {roots[1], roots[2]}
    await asyncio.sleep(0)
