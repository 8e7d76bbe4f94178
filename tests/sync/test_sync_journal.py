"""Sync behind the real journal and the real rooms: what is acknowledged is told, in one order, once."""

import asyncio

from homeserver.cluster.bus import LocalBus
from homeserver.core.signing import SigningKey
from homeserver.rooms.commands import Draft, Origin
from homeserver.rooms.compose import Composer
from homeserver.rooms.loading import RoomLoading
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.sent_before import SentBefore
from homeserver.runtime.clock import SystemClock
from homeserver.runtime.observation import ignore_observations
from homeserver.sync.follow import Sync
from homeserver.sync.notifier import Notifier
from homeserver.sync.request import SyncRequest, parse_since
from storage.journal import Journal
from storage.tables.events import Events
from storage.tables.rooms import Rooms
from storage.tables.state import State
from storage.tables.state_groups import StateGroups
from storage.tables.transactions import Transactions
from storage.writers import Writers
from tests.sync.stored_world import StoredWorld
from tests.sync.sync_asking import ALICE, BOB, ROOM
from tests.sync.sync_client import Client
from tests.sync.sync_world import requester

COUNT = 200


def registry_of(database, journal, interning, clock):
    return RoomRegistry(
        composer=Composer(
            server_name="example.org", signing_key=SigningKey.generate(b"x" * 32, "a"), clock=clock
        ),
        journal=journal,
        interning=interning,
        loading=RoomLoading(
            rooms=Rooms(database),
            events=Events(database),
            state=State(database, Events(database)),
            groups=StateGroups(database),
        ),
        sent_before=SentBefore(Transactions(database)),
    )


async def test_two_people_talk_at_once_and_see_the_same(database):
    world = StoredWorld(database)
    world.create(ROOM, ALICE)
    world.send(ROOM, ALICE, "m.room.join_rules", "", join_rule="public")
    world.member(ROOM, BOB, "join")
    await world.store()
    clock, bus = SystemClock(), LocalBus()
    lease = await Writers(database, clock).acquire(takes_over=True)
    journal = Journal(database, lease, clock, bus.publish, ignore_observations)
    await journal.start()
    notifier = await Notifier.start(bus, world.source)
    sync = Sync(reads=world.source, notifier=notifier, clock=clock)
    registry = registry_of(database, journal, world.interning, clock)
    acknowledged = set()
    transactions = {}

    async def talk(user_id, session_id):
        for number in range(COUNT):
            draft = Draft("m.room.message", user_id, {"body": str(number)})
            origin = Origin(requester(user_id, session_id), f"txn{number}")
            event_id = await registry.send(ROOM, draft, origin=origin)
            acknowledged.add(event_id)
            transactions[event_id] = session_id, f"txn{number}"

    async def listen(user_id, session_id):
        client, shown = Client(), {}
        while len(client.joined[ROOM].timeline if client.joined else ()) < 2 * COUNT + 6:
            request = SyncRequest(
                requester(user_id, session_id), since=parse_since(client.since), timeout_ms=30_000,
                timeline_limit_default=1_000,
            )  # fmt: skip
            answer = client.apply(await sync.respond(request))
            for event in answer["rooms"]["join"][ROOM]["timeline"]["events"]:
                shown[event["event_id"]] = event["unsigned"].get("transaction_id")
        return client.joined[ROOM], shown

    async with asyncio.timeout(60):
        results = await asyncio.gather(
            listen(ALICE, 1), listen(BOB, 2), talk(ALICE, 1), talk(BOB, 2)
        )
        later, _ = await listen(BOB, 3)
    (alices, alice_shown), (bobs, _) = results[:2]

    assert alices.timeline == bobs.timeline == later.timeline
    assert acknowledged <= set(alices.timeline)
    assert alices.gaps == bobs.gaps == 0
    for event_id, (session_id, transaction_id) in transactions.items():
        assert alice_shown[event_id] == (transaction_id if session_id == 1 else None)
    notifier.stop()
    await journal.close()
