import asyncio

import pytest

from homeserver.core.errors import Forbidden, NotFound, Unavailable
from homeserver.rooms import sent_before
from homeserver.rooms.commands import Draft, Origin
from storage.pool import Database
from storage.tables.events import Events

REFUSE = "ALTER TABLE events ADD CONSTRAINT refused CHECK (false) NOT VALID"
ACCEPT = "ALTER TABLE events DROP CONSTRAINT refused"
ALICE = "@alice:localhost"


def draft(text="hello"):
    return Draft("m.room.message", ALICE, {"body": text})


def topic(text):
    return Draft("m.room.topic", ALICE, {"topic": text}, "")


@pytest.fixture
def reads(monkeypatch):
    """Remember every statement that is sent to the database outside the journal's flushes."""
    seen = []
    for name in ("fetch", "fetch_one", "execute"):
        original = getattr(Database, name)

        async def remember(self, statement, *parameters, original=original):
            seen.append(statement)
            return await original(self, statement, *parameters)

        monkeypatch.setattr(Database, name, remember)
    return seen


async def test_a_warm_send_reads_nothing(registry, requester, room, reads):
    await registry.send(room, draft(), origin=Origin(requester, "first"))
    assert reads
    reads.clear()
    for number in range(5):
        await registry.send(room, draft(), origin=Origin(requester, f"t{number}"))
    await registry.send(room, draft(), origin=Origin(requester, "first"))

    assert reads == []


async def test_events_are_composed_before_those_before_them_are_stored(registry, alice, room):
    await registry.actor(room)
    sent = [await registry.submit(room, draft(str(number))) for number in range(10)]
    assert not any(one.committed.done() for one in sent)
    await asyncio.gather(*[one.durable() for one in sent])

    chunk = (await alice.messages(room, "dir=f&limit=100"))["chunk"]
    assert [event["event_id"] for event in chunk[-10:]] == [one.event_id for one in sent]


async def test_each_event_follows_the_one_before(registry, alice, room, database):
    sent = await asyncio.gather(registry.send(room, draft("1")), registry.send(room, draft("2")))
    rows = await Events(database).by_ids(sent)
    # Which of two commands given at once comes first is open while something has to be read for them.
    first, second = sorted(rows.values(), key=lambda row: row.position)

    assert second.event.prev_events == (first.event.event_id,)
    assert second.event.depth == first.event.depth + 1


async def test_a_failed_flush_drops_the_actor_and_the_next_command_works(registry, database, alice, room):
    before = await registry.actor(room)
    await database.execute(REFUSE)
    with pytest.raises(Unavailable):
        await registry.send(room, topic("never stored"))
    await database.execute(ACCEPT)
    after = await registry.actor(room)

    assert after is not before
    assert after.state.get(("m.room.topic", "")) is None
    assert after.extremities != before.extremities
    await registry.send(room, topic("stored"))
    assert await alice.state(room, "m.room.topic") == {"topic": "stored"}


async def test_what_was_made_on_top_of_a_failed_event_fails_with_it(registry, database, alice, room):
    await registry.actor(room)
    await database.execute(REFUSE)
    sent = [await registry.submit(room, draft(str(number))) for number in range(5)]
    outcomes = await asyncio.gather(*[one.durable() for one in sent], return_exceptions=True)
    await database.execute(ACCEPT)

    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    await registry.send(room, draft("after"))
    assert await alice.texts(room) == ["after"]


async def test_a_failure_in_one_room_leaves_others_alone(registry, database, alice, room):
    other = await alice.create()
    await registry.actor(room)
    await registry.actor(other)
    await database.execute(
        "ALTER TABLE events ADD CONSTRAINT refused"
        " CHECK (position(convert_to('poison', 'UTF8') IN json) = 0) NOT VALID"
    )
    bad, good = await registry.submit(room, draft("poison")), await registry.submit(other, draft("good"))
    outcomes = await asyncio.gather(bad.durable(), good.durable(), return_exceptions=True)

    assert isinstance(outcomes[0], Unavailable)
    assert outcomes[1] == good.event_id
    assert await alice.texts(other) == ["good"]


async def test_a_transaction_that_failed_may_be_tried_again(registry, requester, database, alice, room):
    origin = Origin(requester, "same")
    await database.execute(REFUSE)
    with pytest.raises(Unavailable):
        await registry.send(room, draft(), origin=origin)
    await database.execute(ACCEPT)
    first = await registry.send(room, draft(), origin=origin)

    assert await registry.send(room, draft(), origin=origin) == first
    assert await alice.texts(room) == ["hello"]


async def test_actors_used_longest_ago_are_evicted_and_come_back(make_registry, alice):
    registry = make_registry(actors_max=2)
    rooms = [await alice.create() for _ in range(3)]
    for room in rooms:
        await registry.send(room, draft(room))
    assert set(registry._actors) == set(rooms[1:])

    await registry.actor(rooms[1])
    await registry.send(rooms[0], draft("again"))
    assert set(registry._actors) == {rooms[1], rooms[0]}
    assert await alice.texts(rooms[0]) == ["again", rooms[0]]


async def test_sending_to_a_room_is_using_it(make_registry, alice):
    registry = make_registry(actors_max=2)
    busy, quiet, new = [await alice.create() for _ in range(3)]
    await registry.send(busy, draft("1"))
    await registry.send(quiet, draft("2"))
    await registry.send(busy, draft("3"))
    await registry.send(new, draft("4"))

    assert set(registry._actors) == {busy, new}


async def test_a_room_with_writes_in_flight_is_not_evicted(make_registry, alice):
    registry = make_registry(actors_max=1)
    busy, other = await alice.create(), await alice.create()
    loaded = await make_registry().actor(other)
    actor = await registry.actor(busy)
    await registry.send(busy, draft("1"))
    sent = await registry.submit(busy, draft("2"))
    registry.keep(loaded)

    assert registry._actors == {busy: actor}
    await sent.durable()
    registry.keep(loaded)
    assert registry._actors == {other: loaded}
    await registry.send(busy, draft("3"))
    assert await alice.texts(busy) == ["3", "2", "1"]


async def test_a_room_is_loaded_once_for_all_who_wait(registry, room, reads):
    actors = await asyncio.gather(*[registry.actor(room) for _ in range(10)])
    needed = len(reads)
    reads.clear()

    assert all(actor is actors[0] for actor in actors)
    assert needed < 10


async def test_who_waits_gets_the_room_though_the_first_one_went_away(registry, room):
    first = asyncio.ensure_future(registry.actor(room))
    second = asyncio.ensure_future(registry.actor(room))
    await asyncio.wait([first, second], timeout=0)
    first.cancel()

    assert (await second).room_id == room
    assert first.cancelled()


async def test_a_sender_who_goes_away_does_not_undo_the_event(
    registry, requester, alice, room, monkeypatch
):
    appended = asyncio.Event()
    append = registry.journal.append

    def tell(write):
        appended.set()
        return append(write)

    monkeypatch.setattr(registry.journal, "append", tell)
    task = asyncio.ensure_future(registry.send(room, draft("sent"), origin=Origin(requester, "t")))
    await appended.wait()
    assert task.cancel()
    again = await registry.send(room, draft("sent"), origin=Origin(requester, "t"))

    assert await alice.texts(room) == ["sent"]
    assert (await alice.event(room, again))["content"] == {"body": "sent"}


@pytest.mark.parametrize("room_id", ["!nowhere:localhost", "!nowhere", "nonsense", "", "!" + "x" * 300])
async def test_a_room_that_does_not_exist_makes_nothing(registry, database, room_id):
    numbers = await database.fetch("SELECT count(*) FROM interned_types")
    with pytest.raises(Forbidden):
        await registry.send(room_id, Draft("org.never.seen", ALICE, {}))
    with pytest.raises(NotFound):
        await registry.actor(room_id)

    assert await database.fetch("SELECT count(*) FROM interned_types") == numbers
    assert not registry._loads


async def test_a_refused_event_leaves_the_room_as_it_was(registry, room):
    actor = await registry.actor(room)
    before = (actor.extremities, actor.depth, actor.last_position)
    with pytest.raises(Forbidden):
        await registry.send(room, Draft("m.room.message", "@bob:localhost", {}))

    assert (actor.extremities, actor.depth, actor.last_position) == before


async def test_a_command_may_find_that_there_is_nothing_to_do(registry, room):
    first = await registry.send(room, topic("Food"))

    assert await registry.send(room, topic("Food"), decide=lambda actor: None) == first


async def test_a_transaction_older_than_those_at_hand_is_found_in_storage(
    registry, requester, alice, room, monkeypatch
):
    monkeypatch.setattr(sent_before, "TRANSACTIONS_PER_SESSION_MAX", 2)
    ids = [await registry.send(room, draft(str(n)), origin=Origin(requester, f"t{n}")) for n in range(5)]
    again = await registry.send(room, draft("0"), origin=Origin(requester, "t0"))
    await registry.send(room, draft("5"))

    assert again == ids[0]
    assert await alice.texts(room, "dir=f&limit=100") == ["0", "1", "2", "3", "4", "5"]


async def test_a_new_registry_knows_the_last_transactions(make_registry, requester, alice, room):
    origin = Origin(requester, "same")
    first = await make_registry().send(room, draft(), origin=origin)
    later = make_registry()

    assert await later.send(room, draft(), origin=origin) == first
    assert await alice.texts(room) == ["hello"]


async def test_who_waited_until_a_room_is_settled_finds_no_commit_that_is_done_already(registry, room):
    actor = await registry.actor(room)
    committed = asyncio.get_running_loop().create_future()

    def note(_):
        actor.last_commit = None

    actor.last_commit = committed
    committed.add_done_callback(note)  # as `append` does
    committed.set_result(None)
    await registry.settled(actor)

    assert actor.last_commit is None
