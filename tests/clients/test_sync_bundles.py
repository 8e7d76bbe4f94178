"""What syncs tell with an event of those that point at it."""

from urllib.parse import quote

import orjson
import pytest

from tests.doubles.relating import bundle, edit, ids, react, relate, reply


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    return room


async def sync(user, since=None, **wanted):
    start = "" if since is None else f"&since={since}"
    return await user.get(f"/sync?timeout=0{start}&filter={quote(orjson.dumps(wanted))}")


def timeline(answer, room, section="join"):
    return answer["rooms"][section][room]["timeline"]["events"]


def bundle_of(answer, room, event_id, section="join"):
    (found,) = [event for event in timeline(answer, room, section) if event["event_id"] == event_id]
    return bundle(found)


async def test_a_complete_sync_tells_what_points_at_its_events(alice, bob, room):
    root = await alice.send(room)
    edited = await edit(alice, room, root, "better")
    answer = await reply(bob, room, root)
    plain = await alice.send(room)

    synced = await sync(bob)
    found = bundle_of(synced, room, root)
    assert found["m.replace"]["event_id"] == edited
    assert found["m.thread"]["latest_event"]["event_id"] == answer
    assert found["m.thread"]["current_user_participated"] is True
    assert bundle_of(synced, room, plain) == {}
    assert bundle_of(await sync(alice), room, root)["m.thread"]["current_user_participated"] is True


async def test_a_gap_tells_what_points_at_the_events_after_it(alice, bob, room):
    since = (await sync(bob))["next_batch"]
    for _ in range(5):
        await alice.send(room)
    parent = await alice.send(room)
    reference = await relate(alice, room, parent, "m.reference")

    answer = await sync(bob, since, room={"timeline": {"limit": 3}})
    assert answer["rooms"]["join"][room]["timeline"]["limited"]
    assert bundle_of(answer, room, parent)["m.reference"]["chunk"] == [{"event_id": reference}]


async def test_an_event_and_what_points_at_it_come_in_one_answer(alice, bob, room):
    since = (await sync(bob))["next_batch"]
    parent = await alice.send(room)
    edited = await edit(alice, room, parent, "better")

    answer = await sync(bob, since)
    assert ids(timeline(answer, room)) == [parent, edited]
    assert bundle_of(answer, room, parent)["m.replace"]["event_id"] == edited


async def test_what_comes_in_the_next_answer_is_not_told_in_this_one(alice, bob, room):
    """Clients count on: a reply that is bundled now and comes as an event later would count twice."""
    since = (await sync(bob))["next_batch"]
    root = await alice.send(room)
    await reply(alice, room, root)
    first = await sync(bob, since)
    await reply(alice, room, root)
    await alice.server.restart()  # so that it is read from storage

    again = await sync(bob, since)
    assert bundle_of(first, room, root)["m.thread"]["count"] == 1
    assert bundle_of(again, room, root)["m.thread"]["count"] == 2


async def test_live_events_without_relations_cost_no_query(alice, bob, room, monkeypatch):
    parent = await alice.send(room)
    since = (await sync(bob))["next_batch"]
    asked = []
    reads = alice.server.storage.reads
    original = reads.bundles

    async def counted(room_id, events, *rest, **named):
        asked.append([event.event_id for event in events])
        return await original(room_id, events, *rest, **named)

    monkeypatch.setattr(reads, "bundles", counted)
    one = await alice.send(room)
    await react(alice, room, one)
    await reply(alice, room, parent)  # to one that is not in the window
    await relate(alice, room, "$unknown", "m.thread")
    answer = await sync(bob, since)
    assert len(timeline(answer, room)) == 4
    assert asked == []

    await edit(alice, room, one, "better")
    await sync(bob, since)
    assert asked == [[one]]


async def test_a_sync_tells_nothing_that_may_not_be_seen(alice, bob):
    initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room = await alice.create(preset="public_chat", initial_state=initial)
    await bob.act(room, "join")
    parent = await alice.send(room)
    await bob.act(room, "leave")
    await relate(alice, room, parent, "m.reference")
    left = await sync(bob, room={"include_leave": True})
    assert bundle_of(left, room, parent, "leave") == {}

    await bob.act(room, "join")
    seen = await relate(alice, room, parent, "m.reference")
    chunk = (await bob.messages(room))["chunk"]
    (event,) = [event for event in chunk if event["event_id"] == parent]
    assert bundle(event)["m.reference"]["chunk"] == [{"event_id": seen}]


async def test_events_in_the_federation_format_carry_nothing(alice, room):
    parent = await alice.send(room)
    await edit(alice, room, parent, "better")
    answer = await sync(alice, event_format="federation")

    assert all("unsigned" not in event for event in timeline(answer, room))


async def test_a_redacted_edit_is_told_no_more(alice, bob, room):
    since = (await sync(bob))["next_batch"]
    parent = await alice.send(room)
    edited = await edit(alice, room, parent, "better")
    await alice.redact(room, edited)

    assert bundle_of(await sync(bob, since), room, parent) == {}
    assert bundle_of(await sync(bob), room, parent) == {}


async def test_transaction_ids_of_redactions_are_told_as_they_were_given(alice, room):
    event_id = await alice.send(room)
    path = f"/rooms/{quote(room)}/redact/{quote(event_id, safe='')}/my|own"
    redaction = (await alice.ask("PUT", path, {}))["event_id"]
    await alice.server.restart()

    (found,) = [event for event in timeline(await sync(alice), room) if event["event_id"] == redaction]
    assert found["unsigned"]["transaction_id"] == "my|own"
    assert (await alice.event(room, redaction))["unsigned"]["transaction_id"] == "my|own"
