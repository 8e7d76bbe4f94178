"""What it costs to take in events of another server: `python -m tests.benchmarks.received_events`.

On a server without a socket and a PostgreSQL of its own, from a decoded transaction to the answer, signatures
verified. First as after a while without each other, full transactions one after the other: fails if an event
costs more than its goal of CPU. Then one event at a time, each with a commit and an answer of its own, and an
answer to the long poll of a user of ours: fails if the user hears of it too late. Connections come on top.
"""

import asyncio
import gc
import time
from urllib.parse import quote

import orjson
import uvloop

from federation.server.intake import Intake
from federation.server.origin_limits import OriginLimits
from federation.server.refusals import Refusals
from federation.server.room_queues import RoomQueues
from federation.server.staging import Staging
from federation.server.transactions import TransactionsFromServers
from homeserver.core.auth.selection import auth_types_for
from homeserver.core.event.builder import build_event
from homeserver.http.request import Request
from homeserver.rooms.outsiders import Outsiders
from homeserver.rooms.residency import Residency
from homeserver.runtime.observation import ignore_observations
from tests.benchmarks import ground
from tests.benchmarks.ground import say
from tests.doubles.federated_rooms import KnownKeys, Network, RoomsOfWholeServer
from tests.doubles.rooms import RoomsServer
from tests.factory.room_timeline import signing_key_of

EVENTS = 1_000
BATCH = 50
PER_SECOND = 100
CPU_GOAL_MS = 1.0
DELAY_GOAL_MS = 150.0
THERE = "there.example"
BOB = "@bob:there.example"


async def receiver(server, rooms):
    """Make what takes in transactions, as the application does."""
    refusals = Refusals(ignore_observations)
    intake = Intake(
        ingest=rooms.ingest, residency=Residency(server.database),
        outsiders=Outsiders(
            registry=rooms.registry, database=server.database, signatures=KnownKeys(rooms.network)
        ),
    )  # fmt: skip
    server.storage.bus.subscribe(intake.follow)
    queues = RoomQueues(
        receive=intake.receive, staging=Staging(queries=server.database, clock=server.clock),
        refusals=refusals, observer=ignore_observations,
    )  # fmt: skip
    await queues.start()
    server.stack.push_async_callback(queues.close)
    return TransactionsFromServers(
        queues=queues, edus=None, rooms=rooms.registry.rooms, limits=OriginLimits(server.clock),
        refusals=refusals,
    )  # fmt: skip


async def said_by_bob(rooms, room_id, count, before):
    """Build events that follow each other, and the first of them an event that is here."""
    keys = auth_types_for(before.rules, "m.room.message", BOB, None, {})
    state = (await rooms.registry.actor(room_id, *keys)).state.select(keys)
    events = []
    for number in range(count):
        before = build_event(
            rules=before.rules, type="m.room.message", sender=BOB, room_id=room_id, prev_events=[before],
            content={"msgtype": "m.text", "body": f"This is what I say, for the {number}th time"},
            auth_events=[state[key] for key in keys if key in state], depth=before.depth + 1,
            origin_server_ts=int(time.time() * 1000), server_name=THERE,
            signing_key=signing_key_of(THERE),
        )  # fmt: skip
        events.append(before)
    return events


async def put(transactions, name, events):
    """Send a transaction, as it is when its JSON is read."""
    pdus = b",".join([event.canonical for event in events])
    body = orjson.loads(b'{"origin":"%b","pdus":[%b],"edus":[]}' % (THERE.encode(), pdus))
    request = Request("PUT", "/", {"transaction_id": name}, {}, body=body, origin=THERE)
    answer = orjson.loads((await transactions.send_transaction(request)).body)["pdus"]
    assert answer == {event.event_id: {} for event in events}, answer


async def follow(alice, room_id, since, seen, count):
    """Poll until so many events were told; notes when each was."""
    while len(seen) < count:
        answer = await alice.get(f"/sync?timeout=10000&since={quote(since)}")
        since = answer["next_batch"]
        now = time.perf_counter()
        for event in answer.get("rooms", {}).get("join", {}).get(room_id, {}).get("timeline", {})["events"]:
            seen.setdefault(event["event_id"], now)


async def run(server, meter):
    """Measure; returns what was over its goal."""
    alice = await server.user("alice")
    room_id = await alice.create(preset="public_chat")
    network = Network()
    network.keys[THERE] = signing_key_of(THERE)  # known, as it is after the first event
    rooms = await RoomsOfWholeServer(server, network).start()
    entry = await rooms.member_event(room_id, BOB, {"membership": "join"})
    await rooms.accept(THERE, room_id, entry)
    transactions = await receiver(server, rooms)
    events = await said_by_bob(rooms, room_id, 100 + 2 * EVENTS, entry)
    warm, batched, single = events[:100], events[100 : 100 + EVENTS], events[100 + EVENTS :]
    for number, event in enumerate(warm):
        await put(transactions, f"w{number}", [event])
    gc.collect()

    say("| what | CPU ms an event | of PostgreSQL ms | events a second |\n|---|---|---|---|")
    missed = []
    postgres_s, own_s, began = meter.read().postgres_s, time.process_time(), time.perf_counter()
    for start in range(0, EVENTS, BATCH):
        await put(transactions, f"b{start}", batched[start : start + BATCH])
    missed += report(f"{BATCH} in each transaction", meter, postgres_s, own_s, began)

    since = (await alice.get("/sync"))["next_batch"]
    seen, sent = {}, {}
    following = asyncio.create_task(follow(alice, room_id, since, seen, EVENTS))
    postgres_s, own_s, began = meter.read().postgres_s, time.process_time(), time.perf_counter()
    for number, event in enumerate(single):
        await asyncio.sleep(began + number / PER_SECOND - time.perf_counter())
        sent[event.event_id] = time.perf_counter()
        await put(transactions, f"s{number}", [event])
    report(f"one at a time, {PER_SECOND} a second, and told to a user", meter, postgres_s, own_s, began)
    async with asyncio.timeout(20):
        await following
    delays = sorted((seen[event_id] - sent[event_id]) * 1000 for event_id in sent)
    median, late = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
    say(f"A user who follows hears after {median:.1f} ms (median), {late:.1f} ms (99th percentile).")
    if late > DELAY_GOAL_MS:
        missed.append(f"an event was told after {late:.0f} of {DELAY_GOAL_MS:.0f} ms")
    return missed


def report(name, meter, postgres_s, own_s, began):
    """Say what the events since then have cost."""
    own_ms = (time.process_time() - own_s) * 1000 / EVENTS
    postgres_ms = (meter.read().postgres_s - postgres_s) * 1000 / EVENTS
    say(f"| {name} | {own_ms:.3g} | {postgres_ms:.3g} | {EVENTS / (time.perf_counter() - began):,.0f} |")
    return [] if own_ms <= CPU_GOAL_MS else [f"{name}: {own_ms:.2f} of {CPU_GOAL_MS} ms"]


async def main():
    """Start, measure, stop."""
    async with ground.ground("received") as place:
        server = await RoomsServer(place.database, place.directory).start()
        gc.freeze()  # as a server does at its start
        missed = await run(server, place.meter)
        await server.close()
    ground.end(missed)


if __name__ == "__main__":
    uvloop.run(main())
