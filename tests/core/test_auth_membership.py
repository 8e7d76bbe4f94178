"""The rules for `m.room.member`, sentence by sentence, in every room version that has them."""

import pytest

from homeserver.core.auth.check import authorize
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import ROOM_VERSIONS

ALICE, BOB, CAROL, DAVE = (f"@{name}:example.org" for name in ("alice", "bob", "carol", "dave"))
REMOTE = "@remote:other.org"
ALL = list(ROOM_VERSIONS)
KNOCKING, RESTRICTED, KNOCK_RESTRICTED = ALL[6:], ALL[7:], ALL[9:]
MEMBERSHIPS = ["leave", "join", "invite", "ban", "knock"]


@pytest.mark.parametrize("version", ALL)
def test_membership_needs_a_state_key_and_a_membership(new_room, version):
    room = new_room(version)

    assert "state key" in room.verdict(ALICE, "m.room.member", {"membership": "join"}).reason
    assert "no membership" in room.verdict(ALICE, "m.room.member", {}, ALICE).reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("membership", ["", "JOIN", "joined", "kick", None, 1, [], {}])
def test_an_unknown_membership_is_refused(new_room, allows, version, membership):
    assert allows(new_room(version), ALICE, ALICE, membership) is not None


# --- invite -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("membership", ["leave", "invite", "ban", "knock"])
def test_only_who_is_in_the_room_invites(new_room, allows, version, membership):
    room = new_room(version)
    room.set_member(BOB, membership)

    assert "not in the room" in allows(room, BOB, REMOTE, "invite").reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("membership", "allowed"),
    [("leave", True), ("invite", True), ("knock", True), ("join", False), ("ban", False)],
)
def test_who_is_in_the_room_or_banned_is_not_invited(new_room, allows, version, membership, allowed):
    room = new_room(version)
    room.set_member(REMOTE, membership)

    assert (allows(room, ALICE, REMOTE, "invite") is None) is allowed


@pytest.mark.parametrize("version", ALL)
def test_inviting_takes_the_invite_level(room_with_levels, allows, version):
    room = room_with_levels(version, invite=50)

    assert allows(room, BOB, REMOTE, "invite") is None
    assert "50" in allows(room, DAVE, REMOTE, "invite").reason


# --- leave, kick and unban --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("membership", MEMBERSHIPS)
def test_a_user_leaves_from_where_there_is_something_to_leave(new_room, allows, version, membership):
    room = new_room(version)
    room.set_member(BOB, membership)
    expected = membership in {"join", "invite"} or (membership == "knock" and version in KNOCKING)

    assert (allows(room, BOB, BOB, "leave") is None) is expected


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("action", ["leave", "ban"])
def test_who_is_not_in_the_room_neither_kicks_nor_bans(room_with_levels, allows, version, action):
    room = room_with_levels(version)
    room.set_member(BOB, "leave")

    assert "not in the room" in allows(room, BOB, DAVE, action).reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("membership", MEMBERSHIPS)
@pytest.mark.parametrize(
    ("sender", "target", "allowed"),
    [
        (ALICE, BOB, True),
        (ALICE, DAVE, True),
        (BOB, DAVE, True),
        (BOB, CAROL, False),
        (BOB, ALICE, False),
        (DAVE, BOB, False),
        (DAVE, REMOTE, False),
    ],
)
@pytest.mark.parametrize("action", ["leave", "ban"])
def test_kicking_and_banning_take_the_level_and_more_than_the_targets(
    room_with_levels, allows, version, membership, sender, target, allowed, action
):
    room = room_with_levels(version)
    room.set_member(target, membership)

    assert (allows(room, sender, target, action) is None) is allowed


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("kick", "ban", "allowed"), [(50, 50, True), (50, 51, False), (51, 50, False)])
def test_lifting_a_ban_takes_both_the_kick_level_and_the_ban_level(
    room_with_levels, allows, version, kick, ban, allowed
):
    room = room_with_levels(version, kick=kick, ban=ban)
    room.set_member(REMOTE, "ban")

    assert (allows(room, BOB, REMOTE, "leave") is None) is allowed


@pytest.mark.parametrize("version", ALL)
def test_a_kick_does_not_take_the_ban_level(room_with_levels, allows, version):
    room = room_with_levels(version, kick=0, ban=100, users_default=1)
    room.force(ALICE, "m.room.power_levels", {"users": {DAVE: 0, BOB: 50}, "kick": 0, "ban": 100}, "")

    assert allows(room, BOB, DAVE, "leave") is None
    assert allows(room, BOB, DAVE, "ban") is not None


@pytest.mark.parametrize("version", ALL)
def test_nobody_bans_or_kicks_an_equal_not_even_oneself(room_with_levels, allows, version):
    room = room_with_levels(version)

    assert allows(room, BOB, BOB, "ban") is not None
    assert allows(room, ALICE, ALICE, "ban") is not None


def test_creators_are_above_everybody_and_equal_among_themselves(new_room, allows):
    room = new_room("12", create_content={"additional_creators": [CAROL]})
    room.send(ALICE, "m.room.power_levels", {"users": {BOB: 2**53 - 1}}, "")
    room.join(BOB, CAROL)

    assert allows(room, CAROL, BOB, "ban") is None
    assert allows(room, BOB, CAROL, "ban") is not None
    assert allows(room, CAROL, ALICE, "leave") is not None
    assert allows(room, ALICE, CAROL, "leave") is not None


# --- knock ------------------------------------------------------------------------------------------------

LETS_KNOCK = {"knock": KNOCKING, "knock_restricted": KNOCK_RESTRICTED}


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("join_rule", ["public", "invite", "knock", "restricted", "knock_restricted", None])
def test_a_user_knocks_where_the_rules_of_the_version_let(new_room, allows, version, join_rule):
    room = new_room(version)
    room.set_state("m.room.join_rules", {"join_rule": join_rule})

    assert (allows(room, REMOTE, REMOTE, "knock") is None) is (version in LETS_KNOCK.get(join_rule, ()))


@pytest.mark.parametrize("version", KNOCKING)
@pytest.mark.parametrize(
    ("membership", "allowed"),
    [("leave", True), ("knock", True), ("ban", False), ("invite", False), ("join", False)],
)
def test_who_has_a_better_way_or_none_does_not_knock(new_room, allows, version, membership, allowed):
    room = new_room(version)
    room.set_state("m.room.join_rules", {"join_rule": "knock"})
    room.set_member(BOB, membership)

    assert (allows(room, BOB, BOB, "knock") is None) is allowed


@pytest.mark.parametrize("version", KNOCKING)
def test_nobody_knocks_for_somebody_else(new_room, allows, version):
    room = new_room(version)
    room.set_state("m.room.join_rules", {"join_rule": "knock"})

    assert "somebody else" in allows(room, ALICE, BOB, "knock").reason


# --- federation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("federate", "allowed"), [(True, True), (False, False), (None, True), ("no", True)])
def test_a_room_that_does_not_federate_is_closed_to_other_servers(
    new_room, allows, version, federate, allowed
):
    room = new_room(version, create_content={"m.federate": federate})
    room.set_state("m.room.join_rules", {"join_rule": "public"})

    assert (allows(room, REMOTE, REMOTE, "join") is None) is allowed
    assert allows(room, BOB, BOB, "join") is None


def test_membership_of_another_room_does_not_count(new_room):
    room, other = new_room("11"), new_room("11", creator=BOB)
    event = other.propose(BOB, "m.room.member", {"membership": "join"}, BOB)
    moved = Event.from_pdu({**event.pdu, "room_id": "!elsewhere:example.org"}, event.rules)

    assert "created this room" in authorize(moved, room.state).reason
