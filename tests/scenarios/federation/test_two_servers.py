"""Two servers and a user of each: all that two people do with each other, whichever two servers they are."""

import pytest

from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.pairs import CHOSEN, PAIRS, meet
from tests.scenarios.federation.people import same_state
from tests.scenarios.federation.servers import Isthmus

pytestmark = [pytest.mark.scenario, pytest.mark.interop, pytest.mark.timeout(120)]

@pytest.fixture(scope="module", params=CHOSEN)
def servers(request):
    with running(*PAIRS[request.param]) as both:
        yield both


@pytest.fixture
async def alice(servers, come):
    return await come(servers[0], "alice")


@pytest.fixture
async def bob(servers, come):
    return await come(servers[1], "bob")


async def test_an_invitation_shows_what_the_room_is_called_and_who_invited(alice, bob):
    room_id = await alice.make_room(name="Harbour", invite=[bob.user_id])
    await bob.is_in(room_id, "invite")

    shown = {(event["type"], event["state_key"]): event for event in bob.room(room_id).invite_state}
    assert shown["m.room.name", ""]["content"]["name"] == "Harbour"
    assert shown["m.room.member", bob.user_id]["sender"] == alice.user_id


@pytest.mark.parametrize("version", ["1", "3", "6", "9", "10", "11", "12"])
async def test_they_talk_both_ways_in_a_room_of_each_version(alice, bob, version):
    room_id = await meet(alice, bob, room_version=version)
    await alice.say(room_id, "Hello, Bob")
    await bob.sees(room_id, "Hello, Bob")
    await bob.say(room_id, "Hello, Alice")
    await alice.sees(room_id, "Hello, Alice")
    for number in range(5):
        await alice.say(room_id, f"alice {number}")
        await bob.say(room_id, f"bob {number}")
    for person in (alice, bob):
        for number in range(5):
            await person.sees(room_id, f"alice {number}")
            await person.sees(room_id, f"bob {number}")

    state = await same_state(room_id, alice, bob)
    assert ("m.room.member", bob.user_id) in state


async def test_an_invitation_is_rejected(alice, bob):
    room_id = await alice.make_room(invite=[bob.user_id])
    await bob.is_in(room_id, "invite")
    await bob.act(room_id, "leave")
    await alice.sees_member(room_id, bob.user_id, "leave")
    await bob.is_in(room_id, "leave")


async def test_an_invitation_is_taken_back(alice, bob):
    room_id = await alice.make_room(invite=[bob.user_id])
    await bob.is_in(room_id, "invite")
    await alice.act(room_id, "kick", bob.user_id)
    await bob.is_in(room_id, "leave")


async def test_who_left_comes_back_and_reads_on(alice, bob):
    room_id = await meet(alice, bob)
    await bob.act(room_id, "leave")
    await alice.sees_member(room_id, bob.user_id, "leave")
    await bob.is_in(room_id, "leave")
    await alice.say(room_id, "while Bob is away")
    await alice.act(room_id, "invite", bob.user_id)
    await bob.is_in(room_id, "invite")
    await bob.join_by(room_id, alice.server.name)
    await bob.is_in(room_id, "join")
    await alice.sees_member(room_id, bob.user_id, "join")
    await alice.say(room_id, "Bob is back")
    await bob.sees(room_id, "Bob is back")
    await bob.say(room_id, "so I am")
    await alice.sees(room_id, "so I am")
    await same_state(room_id, alice, bob)


async def test_who_is_kicked_is_out(alice, bob):
    room_id = await meet(alice, bob)
    await alice.act(room_id, "kick", bob.user_id, reason="noise")
    await bob.is_in(room_id, "leave")
    with pytest.raises(Exception, match="403"):
        await bob.say(room_id, "still here?")


async def test_who_is_banned_cannot_come_back(alice, bob):
    room_id = await meet(alice, bob, preset="public_chat")
    await alice.act(room_id, "ban", bob.user_id)
    await bob.is_in(room_id, "leave")
    with pytest.raises(Exception, match="403"):
        await bob.join_by(room_id, alice.server.name)
    await alice.act(room_id, "unban", bob.user_id)
    await bob.join_by(room_id, alice.server.name)
    await alice.sees_member(room_id, bob.user_id, "join")


async def test_a_redaction_empties_the_message_on_both_sides(alice, bob):
    room_id = await meet(alice, bob)
    event_id = await alice.say(room_id, "to be forgotten")
    await bob.sees(room_id, "to be forgotten")
    await alice.client("PUT", "rooms", room_id, "redact", event_id, "r1", body={"reason": "mistake"})
    await bob.until("the redaction", lambda: any(
        event["type"] == "m.room.redaction" for event in bob.room(room_id).timeline
    ))  # fmt: skip

    event = await bob.client("GET", "rooms", room_id, "event", event_id)
    assert event["content"] == {}


async def test_typing_and_receipts_cross(alice, bob):
    room_id = await meet(alice, bob)
    event_id = await alice.say(room_id, "read this")
    await bob.sees(room_id, "read this")
    await bob.client("POST", "rooms", room_id, "receipt", "m.read", event_id, body={})
    await alice.until("the receipt", lambda: alice.room(room_id).receipts.get(bob.user_id) == event_id)
    await bob.client("PUT", "rooms", room_id, "typing", bob.user_id, body={"typing": True, "timeout": 30_000})
    await alice.until("typing", lambda: alice.room(room_id).typing == [bob.user_id])
    await bob.client("PUT", "rooms", room_id, "typing", bob.user_id, body={"typing": False})
    await alice.until("no typing", lambda: alice.room(room_id).typing == [])


async def test_presence_crosses(alice, bob):
    await meet(alice, bob)
    status = {"presence": "online", "status_msg": "at sea"}
    await bob.client("PUT", "presence", bob.user_id, "status", body=status)
    await alice.until("the status", lambda: (
        alice.presence.get(bob.user_id, {}).get("status_msg") == "at sea"
    ))  # fmt: skip


async def test_a_profile_is_asked_of_its_server(alice, bob):
    await bob.client("PUT", "profile", bob.user_id, "displayname", body={"displayname": "Bob of the sea"})

    assert (await alice.client("GET", "profile", bob.user_id))["displayname"] == "Bob of the sea"


async def test_a_new_name_is_seen_in_shared_rooms(alice, bob):
    room_id = await meet(alice, bob)
    await bob.client("PUT", "profile", bob.user_id, "displayname", body={"displayname": "Robert"})
    await alice.until("the name", lambda: (
        alice.room(room_id).state["m.room.member", bob.user_id]["content"].get("displayname") == "Robert"
    ))  # fmt: skip


async def test_an_alias_of_another_server_leads_into_its_room(alice, bob):
    name = f"pier-{alice.user_id[1:].partition(':')[0]}"
    room_id = await alice.make_room(preset="public_chat", room_alias_name=name)
    alias = f"#{name}:{alice.server.name}"

    assert await bob.join_by(alias) == room_id
    await alice.sees_member(room_id, bob.user_id, "join")
    assert (await bob.client("GET", "directory", "room", alias))["room_id"] == room_id


async def test_public_rooms_of_another_server_are_listed(alice, bob):
    room_id = await alice.make_room(preset="public_chat", visibility="public", name="Lighthouse")

    found = await bob.client("GET", "publicRooms", query=f"?server={alice.server.name}")
    assert room_id in [room["room_id"] for room in found["chunk"]]


async def test_members_of_a_room_join_another_that_is_restricted_to_them(alice, bob):
    club = await meet(alice, bob)
    room_id = await alice.make_room(initial_state=[{
        "type": "m.room.join_rules", "state_key": "",
        "content": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]},
    }], room_version="10")  # fmt: skip
    await bob.join_by(room_id, alice.server.name)
    event = await alice.sees_member(room_id, bob.user_id, "join")

    assert event
    member = alice.room(room_id).state["m.room.member", bob.user_id]
    assert member["content"]["join_authorised_via_users_server"] == alice.user_id


async def test_who_is_no_member_cannot_join_what_is_restricted(alice, bob):
    club = await alice.make_room()
    room_id = await alice.make_room(initial_state=[{
        "type": "m.room.join_rules", "state_key": "",
        "content": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]},
    }], room_version="10")  # fmt: skip
    with pytest.raises(Exception, match="403"):
        await bob.join_by(room_id, alice.server.name)


async def test_who_knocks_is_let_in(alice, bob):
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room_id = await alice.make_room(initial_state=[rules], name="Cabin", room_version="10")
    query = f"?via={alice.server.name}&server_name={alice.server.name}"
    await bob.client("POST", "knock", room_id, body={"reason": "let me in"}, query=query)
    await alice.sees_member(room_id, bob.user_id, "knock")
    await bob.is_in(room_id, "knock")
    await alice.act(room_id, "invite", bob.user_id)
    await bob.is_in(room_id, "invite")
    await bob.join_by(room_id, alice.server.name)
    await alice.sees_member(room_id, bob.user_id, "join")


async def test_a_knock_is_taken_back(alice, bob):
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room_id = await alice.make_room(initial_state=[rules], room_version="10")
    query = f"?via={alice.server.name}&server_name={alice.server.name}"
    await bob.client("POST", "knock", room_id, body={}, query=query)
    await alice.sees_member(room_id, bob.user_id, "knock")
    await bob.is_in(room_id, "knock")
    await bob.act(room_id, "leave")
    await bob.is_in(room_id, "leave")
    if isinstance(bob.server, Isthmus):  # Synapse 1.163 tells nobody
        await alice.sees_member(room_id, bob.user_id, "leave")


@pytest.mark.timeout(300)
async def test_five_hundred_events_from_before_are_read_back(alice, bob):
    room_id = await alice.make_room(preset="public_chat")
    for number in range(500):
        await alice.say(room_id, f"old {number}")
    await bob.join_by(room_id, alice.server.name)
    await bob.is_in(room_id, "join")
    found = await bob.history(room_id)

    bodies = [event["content"]["body"] for event in found if event["type"] == "m.room.message"]
    assert bodies == [f"old {number}" for number in reversed(range(500))]
    assert found[-1]["type"] == "m.room.create"


async def test_messages_to_devices_cross_once(alice, bob):
    await meet(alice, bob)
    for number in range(3):
        await alice.client("PUT", "sendToDevice", "org.example.note", f"t{number}", body={
            "messages": {bob.user_id: {"*": {"number": number}}}
        })  # fmt: skip
    await bob.until("three messages", lambda: len(bob.to_device) == 3)
    await bob.take_in(500)

    assert [message["content"]["number"] for message in bob.to_device] == [0, 1, 2]
    assert {message["sender"] for message in bob.to_device} == {alice.user_id}


async def test_spaces_show_rooms_of_another_server(alice, bob):
    space = await alice.make_room(preset="public_chat", creation_content={"type": "m.space"}, name="Coast")
    room_id = await alice.make_room(preset="public_chat", name="Bay")
    await alice.set_state(space, "m.space.child", {"via": [alice.server.name]}, room_id)
    await bob.join_by(space, alice.server.name)
    path = f"/_matrix/client/v1/rooms/{space}/hierarchy"
    shown = await bob.call("GET", path.replace("!", "%21"))

    assert {room["room_id"] for room in shown["rooms"]} == {space, room_id}
