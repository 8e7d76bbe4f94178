import asyncio
from urllib.parse import quote

import pytest

from tests.doubles.relating import bundle, edit, get_v1, ids, react, relate, relations, reply


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    return room


async def bundled(user, room, event_id):
    """Read what every road tells of the relations of an event; they must agree."""
    single = await user.event(room, event_id)
    chunk = (await user.messages(room, "dir=b&limit=100"))["chunk"]
    path = f"/rooms/{quote(room)}/context/{quote(event_id, safe='')}?limit=0"
    found = [single, *(one for one in chunk if one["event_id"] == event_id), (await user.get(path))["event"]]
    assert len(found) == 3
    assert all(without_ages(bundle(one)) == without_ages(bundle(single)) for one in found)
    return bundle(single)


def without_ages(value):
    if isinstance(value, dict):
        return {key: without_ages(one) for key, one in value.items() if key != "age"}
    return value


async def test_the_most_recent_edit_is_told_with_what_it_edits(alice, room):
    parent = await alice.send(room, "first")
    await edit(alice, room, parent, "second")
    third = await edit(alice, room, parent, "third")

    found = await bundled(alice, room, parent)
    assert found.keys() == {"m.replace"}
    replacement = found["m.replace"]
    assert replacement["event_id"] == third
    assert replacement["content"]["m.new_content"]["body"] == "third"
    assert (replacement["type"], replacement["room_id"]) == ("m.room.message", room)
    assert replacement["sender"] == alice.user_id
    assert {"age", "membership", "transaction_id"} <= replacement["unsigned"].keys()
    # The original stays as it was.
    assert (await alice.event(room, parent))["content"]["body"] == "first"


async def test_the_most_recent_edit_is_the_one_sent_last_by_its_own_clock(alice, room):
    parent = await alice.send(room)
    early = await edit(alice, room, parent, "early")
    late = await edit(alice, room, parent, "late")
    database = alice.server.database
    await database.execute(
        "UPDATE relations SET origin_server_ts = origin_server_ts + 60000 WHERE event_id = %b", early
    )
    assert (await bundled(alice, room, parent))["m.replace"]["event_id"] == early
    await database.execute("UPDATE relations SET origin_server_ts = 7")
    assert (await bundled(alice, room, parent))["m.replace"]["event_id"] == max(early, late)


async def test_a_redacted_edit_falls_back_to_the_one_before(alice, room):
    parent = await alice.send(room)
    second = await edit(alice, room, parent, "second")
    third = await edit(alice, room, parent, "third")
    await alice.redact(room, third)
    assert (await bundled(alice, room, parent))["m.replace"]["event_id"] == second
    await alice.redact(room, second)
    assert await bundled(alice, room, parent) == {}


async def test_a_redacted_event_is_not_brought_back_by_its_edits(alice, bob, room):
    parent = await alice.send(room)
    await edit(alice, room, parent, "secret")
    reference = await relate(bob, room, parent, "m.reference")
    answer = await reply(bob, room, parent)
    await alice.redact(room, parent)

    found = await bundled(bob, room, parent)
    assert found.keys() == {"m.reference", "m.thread"}
    assert found["m.reference"] == {"chunk": [{"event_id": reference}]}
    assert found["m.thread"]["latest_event"]["event_id"] == answer


async def test_edits_that_break_the_rules_are_not_told(alice, bob, room):
    parent = await alice.send(room)
    await edit(bob, room, parent, "not his")
    await edit(alice, room, parent, "of another type", event_type="org.example")
    await relate(alice, room, parent, "m.replace", body="* with nothing new")
    await relate(alice, room, parent, "m.replace", **{"m.new_content": "no object"})
    assert await bundled(alice, room, parent) == {}

    right = await edit(alice, room, parent, "right")
    await edit(alice, room, right, "an edit of an edit")
    for _ in range(12):  # however many invalid ones come after it
        await edit(bob, room, parent, "not his")
    assert (await bundled(alice, room, parent))["m.replace"]["event_id"] == right
    assert await bundled(alice, room, right) == {}


async def test_state_is_not_edited(alice, room):
    topic = await alice.set_state(room, "m.room.topic", {"topic": "old"})
    await edit(alice, room, topic, "new", event_type="m.room.topic")
    message = await alice.send(room)
    content = {"m.new_content": {}, "m.relates_to": {"rel_type": "m.replace", "event_id": message}}
    await alice.set_state(room, "m.room.message", content)

    assert await bundled(alice, room, topic) == {}
    assert await bundled(alice, room, message) == {}


async def test_what_is_encrypted_is_replaced_by_what_is_encrypted(alice, room):
    secret = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "…"}
    path = alice.send_path(room, None, "m.room.encrypted")
    parent = (await alice.ask("PUT", path, secret))["event_id"]
    await edit(alice, room, parent, "in the clear")
    assert await bundled(alice, room, parent) == {}

    replacement = await relate(alice, room, parent, "m.replace", event_type="m.room.encrypted", **secret)
    assert (await bundled(alice, room, parent))["m.replace"]["event_id"] == replacement
    plain = await alice.send(room)
    await relate(alice, room, plain, "m.replace", event_type="m.room.encrypted", **secret)
    assert await bundled(alice, room, plain) == {}


async def test_references_are_listed_and_annotations_are_not(alice, bob, room):
    parent = await alice.send(room)
    await react(bob, room, parent)
    one = await relate(alice, room, parent, "m.reference")
    two = await relate(bob, room, parent, "m.reference", event_type="org.example.vote")

    assert await bundled(alice, room, parent) == {
        "m.reference": {"chunk": [{"event_id": one}, {"event_id": two}]}
    }


async def test_a_thread_is_summed_up_at_its_root(alice, bob, carol, room):
    await carol.act(room, "join")
    root = await alice.send(room, "root")
    await reply(bob, room, root, "one")
    latest = await reply(bob, room, root, "two")
    edited = await edit(bob, room, latest, "two, better")
    vote = await relate(bob, room, latest, "m.reference")

    thread = (await bundled(bob, room, root))["m.thread"]
    assert (thread["count"], thread["current_user_participated"]) == (2, True)
    assert thread["latest_event"]["event_id"] == latest
    assert thread["latest_event"]["room_id"] == room
    nested = bundle(thread["latest_event"])
    assert nested["m.replace"]["event_id"] == edited
    assert nested["m.reference"] == {"chunk": [{"event_id": vote}]}
    # Alice began it; carol only reads.
    assert (await bundled(alice, room, root))["m.thread"]["current_user_participated"] is True
    assert (await bundled(carol, room, root))["m.thread"]["current_user_participated"] is False
    await reply(carol, room, root)
    thread = (await bundled(carol, room, root))["m.thread"]
    assert (thread["count"], thread["current_user_participated"]) == (3, True)


async def test_redacted_replies_leave_the_thread(alice, bob, room):
    root = await alice.send(room)
    first = await reply(bob, room, root)
    second = await reply(bob, room, root)
    await bob.redact(room, second)
    thread = (await bundled(bob, room, root))["m.thread"]
    assert (thread["count"], thread["latest_event"]["event_id"]) == (1, first)
    await bob.redact(room, first)
    assert await bundled(bob, room, root) == {}


async def test_threads_are_not_nested(alice, room):
    root = await alice.send(room)
    inner = await reply(alice, room, root)
    nested = await reply(alice, room, "$elsewhere")
    # As from a server that does not check.
    await alice.server.database.execute(
        "UPDATE relations SET parent_id = %b WHERE event_id = %b", inner, nested
    )

    assert await bundled(alice, room, inner) == {}
    assert ids((await get_v1(alice, room, "threads"))["chunk"]) == [root]


@pytest.mark.parametrize("rel_type", ["m.replace", "m.reference", "m.thread"])
async def test_what_may_not_be_seen_is_not_bundled(alice, bob, rel_type):
    initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room = await alice.create(preset="public_chat", initial_state=initial)
    await bob.act(room, "join")
    parent = await alice.send(room)
    new = {"m.new_content": {"msgtype": "m.text", "body": "new"}}
    seen = await relate(alice, room, parent, rel_type, **new)
    await bob.act(room, "leave")
    unseen = await relate(alice, room, parent, rel_type, **new)
    await bob.act(room, "join")

    def told(found):
        found = found[rel_type]
        return found.get("chunk") or found.get("latest_event", found)["event_id"]

    expected = [{"event_id": seen}] if rel_type == "m.reference" else seen
    assert told(await bundled(bob, room, parent)) == expected
    assert unseen not in str(await bundled(bob, room, parent))
    assert unseen in str(await bundled(alice, room, parent))


async def test_who_left_is_told_of_nothing_that_came_after(alice, bob, room):
    root = await alice.send(room)
    seen = await reply(alice, room, root)
    await bob.act(room, "leave")
    await reply(alice, room, root)
    await edit(alice, room, root, "later")

    found = await bundled(bob, room, root)
    assert found.keys() == {"m.thread"}
    assert (found["m.thread"]["count"], found["m.thread"]["latest_event"]["event_id"]) == (1, seen)


async def test_what_nobody_points_at_carries_nothing(alice, bob, room):
    parent = await alice.send(room)
    await react(bob, room, parent)

    assert "m.relations" not in (await alice.event(room, parent))["unsigned"]


async def test_events_of_ignored_users_do_not_count(alice, bob, carol, room):
    await carol.act(room, "join")
    root = await alice.send(room)
    one = await reply(alice, room, root)
    await reply(carol, room, root)
    await relate(carol, room, root, "m.reference")
    hers = await carol.send(room)
    await reply(bob, room, hers)
    path = f"/user/{quote(bob.user_id)}/account_data/m.ignored_user_list"
    await bob.ask("PUT", path, {"ignored_users": {carol.user_id: {}}})

    found = await bundled(bob, room, root)
    assert found.keys() == {"m.thread"}
    assert (found["m.thread"]["count"], found["m.thread"]["latest_event"]["event_id"]) == (1, one)
    assert ids((await relations(bob, room, root))["chunk"]) == [one]
    assert (await bundled(alice, room, root))["m.thread"]["count"] == 2
    # The messages of those who are ignored are gone; a thread that one of them began is not.
    assert hers not in ids((await bob.messages(room))["chunk"])
    roots = (await get_v1(bob, room, "threads"))["chunk"]
    assert ids(roots) == [hers, root]
    assert roots[0]["content"] == {}
    assert roots[1]["content"]["body"] == "hello"


async def test_many_replies_at_once_are_all_counted(alice, bob, room):
    root = await alice.send(room)
    await asyncio.gather(
        *[reply(user, room, root, str(number)) for number in range(20) for user in (alice, bob)]
    )

    assert (await bundled(alice, room, root))["m.thread"]["count"] == 40


async def test_an_edit_by_an_erased_user_is_told_only_to_those_who_were_there(alice, bob, carol, room):
    parent = await bob.send(room)
    edited = await edit(bob, room, parent, "better")
    await carol.act(room, "join")
    await alice.server.storage.reads.erased_users.add(bob.user_id, 1)

    assert (await bundled(alice, room, parent))["m.replace"]["event_id"] == edited
    assert await bundled(carol, room, parent) == {}
