"""A server that signs as servers do and lies in all else: nobody but its own rooms notices."""

import asyncio
import itertools
import time

import psutil
import pytest
from aiohttp import web

from homeserver.core.event.pdu import Event
from homeserver.core.redaction import redact
from homeserver.core.signing import encode_base64
from tests.factory.forging import signed
from tests.factory.room_timeline import signing_key_of
from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.scripted_peer import ScriptedPeer, path, trickle
from tests.scenarios.federation.servers import Isthmus

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(180)]

_GROWTH_BYTES_MAX = 150_000_000
_FLOOD = 1_000
_MEGABYTE = 1_048_576


@pytest.fixture(scope="module")
def server():
    with running(Isthmus, level="info") as (one,):
        yield one


@pytest.fixture
async def alice(server, come):
    return await come(server, "alice")


@pytest.fixture
async def quiet_room(server, alice, come):
    """A room that has nothing to do with the peer; returns what says something in it and hears it."""
    bob = await come(server, "bob")
    room_id = await alice.make_room(preset="public_chat")
    await bob.join_by(room_id)
    numbers = itertools.count(1)

    async def is_unharmed():
        body = f"quiet {next(numbers)}"
        started = time.monotonic()
        await alice.say(room_id, body)
        await bob.sees(room_id, body)
        assert time.monotonic() - started < 3

    return is_unharmed


@pytest.fixture
async def peer(server):
    async with ScriptedPeer(server.authority) as one:
        yield one


@pytest.fixture
async def copy(server, alice, peer):
    """A room of Alice's as the peer has it."""
    room_id = await alice.make_room(preset="public_chat", room_version="11")
    joined = await peer.join(server.name, room_id)
    await alice.sees_member(room_id, peer.user_id, "join")
    return joined


def resident_bytes(server):
    """The memory of its process."""
    return psutil.Process(server.process.pid).memory_info().rss


async def is_refused(server, copy, event, alice):
    """Send an event that nobody may see; the room goes on."""
    body = f"after {event.event_id}"
    await copy.peer.send(server.name, [event])
    await copy.say(server.name, body)
    await alice.sees(copy.room_id, body)
    assert event.event_id not in [one["event_id"] for one in alice.room(copy.room_id).timeline]


async def test_an_event_with_a_bad_signature_is_refused(server, alice, peer, copy, quiet_room):
    good = copy.message("forged")
    signature = encode_base64(bytes(64))
    bad = Event.from_pdu({**good.pdu, "signatures": {peer.name: {peer.key.key_id: signature}}}, copy.rules)
    results = await peer.send(server.name, [bad])

    assert "error" in results[bad.event_id]
    await is_refused(server, copy, bad, alice)
    assert server.told(100_000).count(bad.event_id) == 1  # though it came twice
    await quiet_room()


async def test_an_event_in_the_name_of_somebody_elses_user_is_refused(server, alice, peer, copy, quiet_room):
    words = copy.event(
        "m.room.message", {"msgtype": "m.text", "body": "I am Alice"}, sender=alice.user_id,
        server_name=server.name, signing_key=signing_key_of(server.name),
    )  # fmt: skip
    results = await peer.send(server.name, [words])

    assert "error" in results[words.event_id]
    await is_refused(server, copy, words, alice)
    await quiet_room()


async def test_of_an_event_with_a_wrong_hash_is_left_what_was_signed(server, alice, peer, copy, quiet_room):
    good = copy.message("as it was signed")
    changed = {**good.pdu, "content": {"msgtype": "m.text", "body": "as it was changed"}}
    await peer.send(server.name, [changed])
    await copy.say(server.name, "and on")
    await alice.sees(copy.room_id, "and on")

    shown = {event["event_id"]: event["content"] for event in alice.room(copy.room_id).timeline}
    assert shown[good.event_id] == redact(good.pdu, copy.rules)["content"] == {}
    await quiet_room()


async def test_a_forged_chain_of_power_gives_no_power(server, alice, peer, copy, quiet_room):
    power = {"users": {peer.user_id: 100}}
    throne = copy.event("m.room.power_levels", power, "")
    decree = copy.event(
        "m.room.name", {"name": "Mine"}, "", prev_events=[throne], depth=throne.depth + 1,
        auth_events=[*(one for key, one in copy.state.items() if key[0] in {"m.room.create", "m.room.member"}
                       and key[1] in {"", peer.user_id}), throne],
    )  # fmt: skip

    async def event_auth(_):
        return {"auth_chain": [one.pdu for one in (*copy.auth_chain, *copy.state.values(), throne)]}

    peer.answers["event_auth"] = event_auth
    results = await peer.send(server.name, [throne, decree])

    assert set(results) == {throne.event_id, decree.event_id}
    state = await alice.full_state(copy.room_id)
    assert state["m.room.power_levels", ""] == copy.state["m.room.power_levels", ""].event_id
    assert ("m.room.name", "") not in state
    await copy.say(server.name, "no harm meant")
    await alice.sees(copy.room_id, "no harm meant")
    await quiet_room()


async def test_thousands_of_missing_events_are_not_chased(server, peer, copy, quiet_room):
    before = resident_bytes(server)

    def orphan():
        missing = [f"${next(numbers):043}" for _ in range(20)]
        return copy.message("orphan", prev_events=missing, depth=1_000)

    numbers = itertools.count(1)

    async def get_missing_events(_):
        return {"events": [orphan().pdu for _ in range(20)]}

    peer.answers["get_missing_events"] = get_missing_events
    orphans = [orphan() for _ in range(_FLOOD)]
    started = time.monotonic()
    for start in range(0, _FLOOD, 50):
        await peer.send(server.name, orphans[start : start + 50])
        if start % 250 == 0:
            await quiet_room()
    await quiet_room()

    assert time.monotonic() - started < 120
    assert peer.asked["get_missing_events"] > 0
    assert sum(peer.asked.values()) < 10 * _FLOOD
    assert resident_bytes(server) - before < _GROWTH_BYTES_MAX


async def test_answers_of_many_megabytes_are_not_kept(server, alice, peer, copy, quiet_room):
    before = resident_bytes(server)

    async def much(request):
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        await answer.write(b'{"events":[],"padding":"')
        for _ in range(200):
            try:
                await answer.write(b"x" * _MEGABYTE)
            except (ConnectionError, RuntimeError):
                break
        return answer

    for name in ("get_missing_events", "state_ids", "state", "event", "event_auth", "backfill"):
        peer.answers[name] = much
    for number in range(5):
        lost = copy.message(f"after a gap {number}", prev_events=[f"$missing{number:036}"])
        await peer.send(server.name, [lost])
        await quiet_room()

    assert peer.asked["get_missing_events"] > 0
    assert resident_bytes(server) - before < _GROWTH_BYTES_MAX
    peer.answers.clear()
    await copy.say(server.name, "modest again")
    await alice.sees(copy.room_id, "modest again")


async def test_answers_that_never_end_hold_up_nobody_else(server, alice, peer, copy, quiet_room):
    async def slow(request):
        return await trickle(request, 60)

    for name in ("get_missing_events", "state_ids", "event"):
        peer.answers[name] = slow
    lost = copy.message("after a gap", prev_events=["$missing" + "x" * 36])
    sending = asyncio.create_task(peer.send(server.name, [lost]))
    for _ in range(10):
        await quiet_room()
        await asyncio.sleep(0.2)
    await asyncio.wait({sending}, timeout=90)
    assert sending.done()
    if sending.exception() is None:
        assert lost.event_id in sending.result()
    assert peer.asked["get_missing_events"] > 0
    peer.answers.clear()
    await copy.say(server.name, "faster now")
    await alice.sees(copy.room_id, "faster now", 60)


async def test_requests_whose_bodies_never_end_hold_up_nobody(server, peer, quiet_room):
    content = {"origin": peer.name, "origin_server_ts": 1, "pdus": [], "edus": []}
    target = path("v1", "send", "slow")
    head = (
        f"PUT {target} HTTP/1.1\r\nHost: {server.name}\r\nContent-Length: 1000000\r\n"
        f"Authorization: {peer.header(server.name, 'PUT', target, content)}\r\n\r\n{{"
    )
    writers = []
    for _ in range(50):
        _, writer = await asyncio.open_connection("localhost", server.federation_port, ssl=peer.trust)
        writers.append(writer)
        writer.write(head.encode())
        await writer.drain()
    for _ in range(5):
        await quiet_room()
        await asyncio.sleep(0.2)
    for writer in writers:
        writer.transport.abort()


async def test_two_truths_of_one_server_become_one_state(server, alice, peer, copy, quiet_room):
    """Both events follow the same one, and each says another thing of Mallory."""
    names = [
        copy.event("m.room.member", {"membership": "join", "displayname": f"Mallory {one}"}, peer.user_id)
        for one in ("the first", "the second")
    ]
    for one in names:
        assert await peer.send(server.name, [one]) == {one.event_id: {}}
    await alice.say(copy.room_id, "Which are you?")
    event = await alice.sees(copy.room_id, "Which are you?")
    status, told = await peer.ask(server.name, "GET", path("v1", "event", event["event_id"]))

    assert status == 200
    assert set(Event.from_pdu(told["pdus"][0], copy.rules).prev_events) >= {one.event_id for one in names}
    state = await alice.full_state(copy.room_id)
    assert state["m.room.member", peer.user_id] in {one.event_id for one in names}
    await quiet_room()


async def test_events_that_are_no_events_are_refused_one_by_one(server, alice, peer, copy, quiet_room):
    good = copy.message("in good company")
    template = dict(copy.message("template").pdu)
    bad = [
        {}, [], "text", 3, None, {"room_id": copy.room_id}, {**template, "depth": "deep"},
        {**template, "content": []}, {**template, "prev_events": {}}, {**template, "sender": 7},
        {**template, "room_id": "!" + "x" * 300}, {**template, "hashes": "none"},
        {**template, "type": "x" * 300},
        {**template, "prev_events": ["$" + "a" * 43] * 21},
        signed({**template, "content": {"number": 2**60}}, copy.rules)[1],
        signed({**template, "content": {"body": "x" * 70_000}}, copy.rules)[1],
    ]  # fmt: skip
    deep = {"a": 1}
    for _ in range(150):
        deep = {"a": deep}
    bad.append({**template, "content": deep})
    results = await peer.send(server.name, [*bad, good])

    assert results[good.event_id] == {}
    await alice.sees(copy.room_id, "in good company")
    await quiet_room()


async def test_a_storm_of_requests_is_held_back_before_it_costs_others(server, peer, copy, quiet_room):
    target = path("v1", "state_ids", copy.room_id) + f"?event_id={copy.heads[0].event_id}"

    async def storm():
        for _ in range(300):
            await peer.ask(server.name, "GET", target)

    storms = [asyncio.create_task(storm()) for _ in range(8)]
    for _ in range(5):
        await quiet_room()
    for one in storms:
        one.cancel()
    await asyncio.gather(*storms, return_exceptions=True)
