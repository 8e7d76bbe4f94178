"""The rules for events other than membership and power levels, in every room version that has them."""

import pytest

from homeserver.core.auth.redaction import may_redact, takes_effect
from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.room_versions import ROOM_VERSIONS

ALICE, BOB, CAROL, DAVE = (f"@{name}:example.org" for name in ("alice", "bob", "carol", "dave"))
REMOTE = "@remote:other.org"
ALL = list(ROOM_VERSIONS)
ALIASES_SPECIAL, REDACTION_SPECIAL = ALL[:5], ALL[:2]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("membership", ["leave", "invite", "ban", "knock", "", None, 5])
@pytest.mark.parametrize("event_type", ["m.room.message", "m.room.third_party_invite", "m.room.power_levels"])
def test_only_who_is_in_the_room_sends(new_room, version, membership, event_type):
    room = new_room(version)
    room.set_member(ALICE, membership)

    assert "not in the room" in room.verdict(ALICE, event_type, {}).reason


@pytest.mark.parametrize("version", ALL)
def test_who_was_never_in_the_room_does_not_send(new_room, version):
    assert "not in the room" in new_room(version).verdict(BOB, "m.room.message", {}).reason


@pytest.mark.parametrize("version", ALL)
def test_a_room_that_does_not_federate_takes_nothing_from_other_servers(new_room, version):
    room = new_room(version, create_content={"m.federate": False})
    room.join(BOB, REMOTE)

    assert room.verdict(BOB, "m.room.message", {}) is None
    assert "other servers" in room.verdict(REMOTE, "m.room.message", {}).reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("levels", "event_type", "state_key", "allowed"),
    [
        ({}, "m.room.message", None, True),
        ({}, "m.room.topic", "", False),
        ({"events_default": 1}, "m.room.message", None, False),
        ({"events_default": 1, "events": {"m.room.message": 0}}, "m.room.message", None, True),
        ({"state_default": 0}, "m.room.topic", "", True),
        ({"state_default": 0, "events": {"m.room.topic": 1}}, "m.room.topic", "", False),
        ({"events": {"m.room.topic": 0}}, "m.room.topic", "", True),
        ({"users_default": 50}, "m.room.topic", "", True),
        ({"events_default": -1, "users_default": -1}, "m.room.message", None, True),
        ({"users_default": -1}, "m.room.message", None, False),
    ],
)
def test_sending_takes_the_level_of_the_type(
    room_with_levels, version, levels, event_type, state_key, allowed
):
    room = room_with_levels(version, **levels)

    assert (room.verdict(DAVE, event_type, {}, state_key) is None) is allowed


@pytest.mark.parametrize("version", ALL)
def test_without_power_levels_only_the_creator_sets_state(new_room, version):
    room = new_room(version)
    room.join(BOB)

    assert room.verdict(ALICE, "m.room.topic", {}, "") is None
    assert room.verdict(BOB, "m.room.topic", {}, "") is not None
    assert room.verdict(BOB, "m.room.message", {}) is None


@pytest.mark.parametrize("version", ALL)
def test_state_whose_key_is_a_user_is_set_by_that_user_only(new_room, version):
    room = new_room(version)

    assert room.verdict(ALICE, "org.example.note", {}, ALICE) is None
    assert room.verdict(ALICE, "org.example.note", {}, "alice") is None
    assert "only by that user" in room.verdict(ALICE, "org.example.note", {}, BOB).reason
    assert "only by that user" in room.verdict(ALICE, "org.example.note", {}, "@").reason


@pytest.mark.parametrize("version", ALL)
def test_a_third_party_invitation_takes_the_invite_level_and_no_other(room_with_levels, version):
    room = room_with_levels(version, invite=50, events={"m.room.third_party_invite": 100})

    assert room.verdict(BOB, "m.room.third_party_invite", {}, "token") is None
    assert "to invite" in room.verdict(DAVE, "m.room.third_party_invite", {}, "token").reason


@pytest.mark.parametrize("version", ALIASES_SPECIAL)
def test_a_server_lists_its_aliases_even_without_a_user_in_the_room(new_room, version):
    room = new_room(version)

    assert room.verdict(REMOTE, "m.room.aliases", {}, "other.org") is None
    assert "own aliases" in room.verdict(REMOTE, "m.room.aliases", {}, "example.org").reason
    assert "state key" in room.verdict(REMOTE, "m.room.aliases", {}).reason


@pytest.mark.parametrize("version", ALIASES_SPECIAL)
def test_a_room_that_does_not_federate_takes_no_aliases_of_other_servers(new_room, version):
    room = new_room(version, create_content={"m.federate": False})

    assert "other servers" in room.verdict(REMOTE, "m.room.aliases", {}, "other.org").reason


@pytest.mark.parametrize("version", ALL[5:])
def test_aliases_are_state_like_any_other_from_version_6_on(new_room, version):
    room = new_room(version)

    assert "not in the room" in room.verdict(REMOTE, "m.room.aliases", {}, "other.org").reason
    assert room.verdict(ALICE, "m.room.aliases", {}, "other.org") is None


@pytest.mark.parametrize("version", ALL)
def test_redacting_is_sending_an_event_of_that_type(room_with_levels, version):
    room = room_with_levels(version, events={"m.room.redaction": 50}, redact=0)
    target = room.send(DAVE, "m.room.message", {}).event_id

    assert room.verdict(BOB, "m.room.redaction", {}, redacts=target) is None
    assert room.verdict(DAVE, "m.room.redaction", {}, redacts=target) is not None


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("sender", "target", "in_special_case"),
    [(BOB, REMOTE, True), (DAVE, CAROL, True), (DAVE, REMOTE, False), (REMOTE, REMOTE, True)],
)
def test_in_the_first_versions_redacting_what_others_sent_takes_the_redact_level(
    room_with_levels, version, sender, target, in_special_case
):
    room = room_with_levels(version)
    room.join(REMOTE)
    event = room.send(target, "m.room.message", {})
    expected = in_special_case or version not in REDACTION_SPECIAL

    assert (room.verdict(sender, "m.room.redaction", {}, redacts=event.event_id) is None) is expected


@pytest.mark.parametrize("version", REDACTION_SPECIAL)
@pytest.mark.parametrize("redacts", [None, "", "$nothing", "$x:other.org", "example.org"])
def test_in_the_first_versions_a_redaction_of_nothing_known_takes_the_redact_level(
    room_with_levels, version, redacts
):
    room = room_with_levels(version)

    assert room.verdict(DAVE, "m.room.redaction", {}, redacts=redacts) is not None
    assert room.verdict(BOB, "m.room.redaction", {}, redacts=redacts) is None


@pytest.mark.parametrize("version", ALL[2:])
@pytest.mark.parametrize(
    ("sender", "target", "expected"),
    [(BOB, REMOTE, True), (DAVE, CAROL, True), (DAVE, REMOTE, False), (REMOTE, REMOTE, True)],
)
def test_an_allowed_redaction_takes_effect_by_level_or_on_the_same_server(
    room_with_levels, version, sender, target, expected
):
    room = room_with_levels(version)
    room.join(REMOTE)
    event = room.send(target, "m.room.message", {})
    redaction = room.send(sender, "m.room.redaction", {}, redacts=event.event_id)
    levels = PowerLevels.of(room.state["m.room.power_levels", ""], room.create, room.rules)

    assert takes_effect(redaction, event, levels) is expected


@pytest.mark.parametrize("version", ALL)
def test_a_redaction_takes_effect_on_the_event_that_it_names_only(new_room, version):
    room, other = new_room(version), new_room(version, creator=BOB)
    event, another = room.send(ALICE, "m.room.message", {}), room.send(ALICE, "m.room.message", {})
    redaction = room.send(ALICE, "m.room.redaction", {}, redacts=event.event_id)
    elsewhere = other.send(BOB, "m.room.redaction", {}, redacts=event.event_id)
    levels = PowerLevels.of(None, room.create, room.rules)

    assert takes_effect(redaction, event, levels)
    assert not takes_effect(redaction, another, levels)
    if version == "12":  # before, both rooms have the same ID here
        assert not takes_effect(elsewhere, event, levels)


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("sender", "target", "allowed"),
    [(DAVE, DAVE, True), (DAVE, CAROL, False), (BOB, CAROL, True), (BOB, REMOTE, True), (ALICE, BOB, True)],
)
def test_a_user_of_ours_redacts_by_level_or_what_is_the_own(
    room_with_levels, version, sender, target, allowed
):
    room = room_with_levels(version)
    room.join(REMOTE)
    event = room.send(target, "m.room.message", {})
    levels = PowerLevels.of(room.state["m.room.power_levels", ""], room.create, room.rules)

    assert may_redact(sender, event, levels) is allowed
