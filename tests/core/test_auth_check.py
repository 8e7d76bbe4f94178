"""What holds of event authorization as a whole, whatever is in the events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.core.auth.check import Denied, authorize, authorize_by_auth_events
from homeserver.core.auth.selection import auth_types_for
from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import ROOM_VERSIONS
from tests.factory.room_timeline import RoomTimelineFactory

ALICE, BOB, CAROL, REMOTE = "@alice:example.org", "@bob:example.org", "@carol:example.org", "@r:other.org"
USERS = [ALICE, BOB, CAROL, REMOTE]
MEMBERSHIPS = ["join", "invite", "leave", "ban", "knock"]
NAMES = ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"]
TYPES = [
    "m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules", "m.room.third_party_invite",
    "m.room.aliases", "m.room.redaction", "m.room.message", "m.room.topic",
]  # fmt: skip

versions = st.sampled_from(list(ROOM_VERSIONS))
users = st.sampled_from(USERS)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.integers(-1, 101) | st.sampled_from(["50", " 7 ", "x"])
texts = st.sampled_from([*USERS, *MEMBERSHIPS, "", "abc", "ed25519:0"])
scalars = st.none() | st.booleans() | numbers | texts
KEYS = [
    *NAMES, *USERS, "users", "events", "notifications", "membership", "join_rule", "creator", "signed",
    "mxid", "token", "signatures", "public_key", "public_keys", "third_party_invite", "additional_creators",
    "join_authorised_via_users_server", "m.federate", "room_version", "redacts",
]  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
contents = st.dictionaries(st.sampled_from(KEYS), anything, max_size=5)
state_keys = st.none() | st.sampled_from(["", "abc", "other.org", "@", *USERS])


def with_content(event, content):
    """Replace the content, unchecked: there are servers that send anything."""
    return Event({**event.pdu, "content": content}, event.canonical, event.rules, event.event_id)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_there_is_a_verdict_on_every_event_in_every_state(data):
    room = RoomTimelineFactory(data.draw(versions))
    for event_type in TYPES[1:5]:
        state_key = data.draw(users if event_type == "m.room.member" else st.sampled_from(["", "abc"]))
        room.add(with_content(room.propose(ALICE, event_type, {}, state_key), data.draw(contents)))
    room.state["m.room.create", ""] = with_content(room.create, data.draw(contents))
    content = data.draw(contents)
    sender, event_type, state_key = data.draw(users), data.draw(st.sampled_from(TYPES)), data.draw(state_keys)
    event = with_content(room.propose(sender, event_type, {}, state_key), content)
    selected = auth_types_for(room.rules, event_type, sender, state_key, content)
    named = [room.state[key] for key in selected if key in room.state]

    verdict = authorize(event, room.state)
    by_named = authorize_by_auth_events(event, named, create=room.state["m.room.create", ""])

    assert verdict is None or (isinstance(verdict, Denied) and verdict.reason)
    assert by_named is None or isinstance(by_named, Denied)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_what_the_selection_names_is_all_that_the_verdict_depends_on(data):
    room = drawn_room(data)
    event = drawn_event(data, room)
    selected = auth_types_for(room.rules, event.type, event.sender, event.state_key, event.content)
    of_selection = {key: room.state[key] for key in selected if key in room.state}
    of_selection["m.room.create", ""] = room.create

    assert authorize(event, of_selection) == authorize(event, room.state)


def drawn_room(data):
    """Draw a room with any memberships, levels and join rule."""
    room = RoomTimelineFactory(data.draw(versions))
    room.set_state("m.room.join_rules", {"join_rule": data.draw(st.sampled_from(JOIN_RULES))})
    for user_id in USERS:
        room.set_member(user_id, data.draw(st.sampled_from(["join", *MEMBERSHIPS])))
    if data.draw(st.booleans()):
        room.set_state("m.room.power_levels", data.draw(level_contents))
    return room


JOIN_RULES = ["public", "invite", "knock", "restricted", "knock_restricted"]
levels = st.integers(-2, 102)
level_contents = st.fixed_dictionaries(
    {"users": st.dictionaries(users, levels)},
    optional=dict.fromkeys(NAMES, levels)
    | {key: st.dictionaries(st.sampled_from(TYPES), levels) for key in ("events", "notifications")},
)


def drawn_event(data, room, sender=None):
    sender = sender or data.draw(users)
    event_type = data.draw(st.sampled_from(TYPES[1:]))
    state_key = data.draw(state_keys)
    content = {}
    if event_type == "m.room.member":
        state_key = data.draw(users)
        content = {"membership": data.draw(st.sampled_from(MEMBERSHIPS))}
        if data.draw(st.booleans()):
            content["join_authorised_via_users_server"] = data.draw(users)
    elif event_type == "m.room.power_levels":
        state_key, content = "", data.draw(level_contents)
    return room.propose(sender, event_type, content, state_key, signed_by=("example.org", "other.org"))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_nothing_is_allowed_from_a_banned_user(data):
    room = drawn_room(data)
    room.set_member(BOB, "ban")
    event = drawn_event(data, room, sender=BOB)
    of_server = event.type == "m.room.aliases" and room.rules.authorization.special_case_aliases_auth

    assert of_server or authorize(event, room.state) is not None


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_who_is_not_in_the_room_changes_only_the_own_membership(data):
    room = drawn_room(data)
    room.set_member(BOB, data.draw(st.sampled_from(["leave", "invite", "ban", "knock"])))
    event = drawn_event(data, room, sender=BOB)
    of_server = event.type == "m.room.aliases" and room.rules.authorization.special_case_aliases_auth
    of_own_membership = event.type == "m.room.member" and event.state_key == BOB

    assert of_server or of_own_membership or authorize(event, room.state) is not None


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_nobody_gives_more_power_than_the_own_one(data):
    room = drawn_room(data)
    room.set_member(BOB, "join")
    room.set_state("m.room.power_levels", data.draw(level_contents))
    before = PowerLevels.of(room.state["m.room.power_levels", ""], room.create, room.rules)
    event = room.propose(BOB, "m.room.power_levels", data.draw(level_contents), "")
    if authorize(event, room.state) is not None:
        return
    after = PowerLevels.of(event, room.create, room.rules)
    own = before.user_level(BOB)
    # The rules know entries, not their effect: who loses one has what everybody has, even if that is more.
    everybodys = max(before.user_level("@nobody:example.org"), 0)

    for user_id in USERS:
        assert after.user_level(user_id) <= max(own, before.user_level(user_id), everybodys)
    for user_id, level in event.content["users"].items():
        assert level <= max(own, before.user_level(user_id))
    for name in ("ban", "kick", "redact", "invite"):  # by the same token a default may come back
        assert getattr(after, name) <= max(own, getattr(before, name), 50)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_nobody_removes_an_equal_or_a_superior(data):
    room = drawn_room(data)
    target = data.draw(st.sampled_from([ALICE, CAROL, REMOTE]))
    membership = data.draw(st.sampled_from(["leave", "ban"]))
    event = room.propose(BOB, "m.room.member", {"membership": membership}, target)
    power = PowerLevels.of(room.state.get(("m.room.power_levels", "")), room.create, room.rules)

    if power.user_level(target) >= power.user_level(BOB):
        assert authorize(event, room.state) is not None


@pytest.mark.parametrize("version", ROOM_VERSIONS)
def test_a_usual_room_comes_to_life(new_room, version):
    room = new_room(version)
    levels = {} if version == "12" else {"users": {ALICE: 100}}
    room.send(ALICE, "m.room.power_levels", levels, "")
    room.send(ALICE, "m.room.join_rules", {"join_rule": "invite"}, "")
    room.send(ALICE, "m.room.history_visibility", {"history_visibility": "shared"}, "")
    room.send(ALICE, "m.room.name", {"name": "Isthmus"}, "")
    room.member(ALICE, BOB, "invite")
    room.member(BOB, BOB, "join")
    message = room.send(BOB, "m.room.message", {"msgtype": "m.text", "body": "hello"})
    room.send(BOB, "m.reaction", {"m.relates_to": {"event_id": message.event_id}})
    room.send(ALICE, "m.room.redaction", {}, redacts=message.event_id)
    room.member(ALICE, BOB, "leave")
    room.member(ALICE, BOB, "ban")
    room.member(ALICE, BOB, "leave")
    named = {event.event_id: event for event in room.events}

    for event in room.events:
        auth_events = [named[event_id] for event_id in event.auth_events]
        create = None if event is room.create else room.create
        assert authorize_by_auth_events(event, auth_events, create=create) is None
