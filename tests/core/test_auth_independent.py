"""The rules that need no room state: creating a room, and naming the events that allow an event."""

import pytest

from homeserver.core.auth.check import authorize, authorize_by_auth_events
from homeserver.core.auth.independent import check_auth_events, check_create
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import ROOM_VERSIONS

ALICE, BOB = "@alice:example.org", "@bob:other.org"
ALL = list(ROOM_VERSIONS)
NAMED_BY_CREATE = ["12"]
NAMED_FREELY = ALL[:-1]
WITH_CREATOR = ALL[:10]


def altered(event, **changes):
    """Change a PDU; its hash and signatures are no business of these rules. None takes a key away."""
    pdu = {**event.pdu, **changes}
    return Event.from_pdu({key: value for key, value in pdu.items() if value is not None}, event.rules)


@pytest.mark.parametrize("version", ALL)
def test_anybody_may_create_a_room(new_room, version):
    assert check_create(new_room(version).create) is None


@pytest.mark.parametrize("version", ALL)
def test_a_room_is_not_created_twice_in_one_timeline(new_room, version):
    room = new_room(version)
    create = room.propose(ALICE, "m.room.create", room.create.content, "")

    assert "may follow none" in check_create(create).reason


@pytest.mark.parametrize("version", NAMED_FREELY)
def test_a_room_is_created_on_the_server_that_its_id_names(new_room, version):
    create = altered(new_room(version).create, room_id="!room:other.org")

    assert "on the server" in check_create(create).reason


@pytest.mark.parametrize("version", NAMED_BY_CREATE)
def test_a_room_that_is_named_after_its_create_event_has_no_id_there(new_room, version):
    create = altered(new_room(version).create, room_id="!room:example.org")

    assert "no room ID" in check_create(create).reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("unknown", ["0", "13", "org.example.future", "", 1, None, [], {}])
def test_a_room_version_must_be_known(new_room, version, unknown):
    create = new_room(version).create
    event = altered(create, content={**create.content, "room_version": unknown})

    assert "room version" in check_create(event).reason


@pytest.mark.parametrize("version", WITH_CREATOR)
def test_a_create_event_names_the_creator_before_version_11(new_room, version):
    assert "name the creator" in check_create(altered(new_room(version).create, content={})).reason


@pytest.mark.parametrize("version", ["11", "12"])
def test_a_create_event_need_not_name_the_creator_from_version_11_on(new_room, version):
    assert check_create(altered(new_room(version).create, content={})) is None


@pytest.mark.parametrize("additional", [[], [BOB], [BOB, ALICE], ["@Old Style!:example.org"]])
def test_additional_creators_are_users(new_room, additional):
    create = altered(new_room("12").create, content={"additional_creators": additional})

    assert check_create(create) is None


@pytest.mark.parametrize(
    "additional", [None, BOB, {}, 5, ["bob"], ["@bob"], [BOB, 7], [None], [[BOB]], ["@b:" + "x" * 300], [""]]
)
def test_additional_creators_that_are_no_users_are_refused(new_room, additional):
    create = altered(new_room("12").create, content={"additional_creators": additional})

    assert "additional creator" in check_create(create).reason


def test_additional_creators_mean_nothing_before_version_12(new_room):
    assert check_create(altered(new_room("11").create, content={"additional_creators": 5})) is None


@pytest.mark.parametrize("state_key", [None, "x"])
def test_a_room_is_created_with_an_empty_state_key(new_room, state_key):
    assert "empty state key" in check_create(altered(new_room("11").create, state_key=state_key)).reason


@pytest.mark.parametrize("version", ALL)
def test_the_events_that_the_selection_names_are_accepted(new_room, version):
    room = new_room(version)
    event = room.propose(ALICE, "m.room.message", {"body": "hello"})
    named = [earlier for earlier in room.events if earlier.event_id in event.auth_events]

    assert check_auth_events(event, named, create=room.create) is None
    assert authorize_by_auth_events(event, named, create=room.create) is None


def auth_events_of(room, event):
    return [earlier for earlier in room.events if earlier.event_id in event.auth_events]


@pytest.mark.parametrize("version", ALL)
def test_no_type_and_state_key_is_named_twice(new_room, version):
    room = new_room(version)
    first = room.state["m.room.member", ALICE]
    room.member(ALICE, ALICE, "join", displayname="A")
    event = room.propose(ALICE, "m.room.message", {})
    denied = check_auth_events(event, [*auth_events_of(room, event), first], create=room.create)

    assert "same state key" in denied.reason


@pytest.mark.parametrize("version", ALL)
def test_an_event_that_has_no_say_is_not_named(new_room, version):
    room = new_room(version)
    topic = room.send(ALICE, "m.room.topic", {"topic": "x"}, "")
    event = room.propose(ALICE, "m.room.message", {})
    denied = check_auth_events(event, [*auth_events_of(room, event), topic], create=room.create)

    assert "no say" in denied.reason


@pytest.mark.parametrize("version", ALL)
def test_a_message_is_not_named(new_room, version):
    room = new_room(version)
    message = room.send(ALICE, "m.room.message", {})
    event = room.propose(ALICE, "m.room.message", {})
    denied = check_auth_events(event, [*auth_events_of(room, event), message], create=room.create)

    assert "not part of the room state" in denied.reason


def test_the_create_event_is_not_named_where_the_room_is_named_after_it(new_room):
    room = new_room("12")
    event = room.propose(ALICE, "m.room.message", {})
    denied = check_auth_events(event, [*auth_events_of(room, event), room.create], create=room.create)

    assert "no say" in denied.reason


@pytest.mark.parametrize("version", ALL)
def test_a_rejected_event_is_not_named(new_room, version):
    room = new_room(version)
    event = room.propose(ALICE, "m.room.message", {})
    rejected = {room.state["m.room.member", ALICE].event_id}
    denied = check_auth_events(event, auth_events_of(room, event), create=room.create, rejected=rejected)

    assert "was rejected" in denied.reason


@pytest.mark.parametrize("version", NAMED_FREELY)
def test_the_create_event_must_be_named(new_room, version):
    room = new_room(version)
    event = room.propose(ALICE, "m.room.message", {})
    denied = check_auth_events(event, [room.state["m.room.member", ALICE]])

    assert "created the room" in denied.reason


@pytest.mark.parametrize("version", ALL)
def test_an_event_of_another_room_is_not_named(new_room, version):
    room = new_room(version)
    event = room.propose(ALICE, "m.room.message", {})
    elsewhere = altered(room.state["m.room.member", ALICE], room_id="!elsewhere:example.org")
    others = [earlier for earlier in auth_events_of(room, event) if earlier.type != "m.room.member"]
    denied = check_auth_events(event, [*others, elsewhere], create=room.create)

    assert "another room" in denied.reason


def test_the_room_id_must_be_that_of_an_accepted_create_event(new_room):
    room, other = new_room("12"), new_room("12", create_content={"type": "m.space"})
    event = room.propose(ALICE, "m.room.message", {})
    named = auth_events_of(room, event)
    of_no_room = check_auth_events(event, named)
    of_another_room = check_auth_events(event, named, create=other.create)
    of_a_rejected_room = check_auth_events(event, named, create=room.create, rejected={room.create.event_id})
    of_no_create_event = check_auth_events(event, named, create=named[0])

    for denied in (of_no_room, of_another_room, of_a_rejected_room, of_no_create_event):
        assert "not that of an accepted event" in denied.reason


@pytest.mark.parametrize("version", ALL)
def test_what_a_create_event_names_does_not_matter(new_room, version):
    room = new_room(version)

    assert authorize_by_auth_events(room.create, []) is None
    assert authorize_by_auth_events(room.create, [room.create], rejected={room.create.event_id}) is None


@pytest.mark.parametrize("version", ALL)
def test_nothing_is_allowed_in_a_room_that_nobody_created(new_room, version):
    room = new_room(version)
    event = room.propose(ALICE, "m.room.message", {})
    state = {key: held for key, held in room.state.items() if key[0] != "m.room.create"}

    assert "no event that created" in authorize(event, state).reason


@pytest.mark.parametrize("version", ALL)
def test_the_events_named_decide_even_if_the_state_says_otherwise(new_room, version):
    room = new_room(version)
    room.set_state("m.room.join_rules", {"join_rule": "public"})
    event = room.propose(BOB, "m.room.member", {"membership": "join"}, BOB)
    named = auth_events_of(room, event)
    without_rule = [earlier for earlier in named if earlier.type != "m.room.join_rules"]

    assert authorize_by_auth_events(event, named, create=room.create) is None
    assert "not invited" in authorize_by_auth_events(event, without_rule, create=room.create).reason
