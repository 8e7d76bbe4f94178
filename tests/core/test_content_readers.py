"""Reading content that others wrote: defaults for what is missing, and nothing raised over garbage."""

import math

import pytest

from homeserver.core.content import create, history_visibility, join_rules, member
from homeserver.core.content.power_levels import CREATOR_LEVEL, PowerLevels, read_level
from homeserver.core.room_versions import ROOM_VERSIONS

ALICE, BOB, CAROL = "@alice:example.org", "@bob:example.org", "@carol:example.org"
ALL = list(ROOM_VERSIONS)
V1, V6, V11, V12 = (ROOM_VERSIONS[version] for version in ("1", "6", "11", "12"))
GARBAGE = [None, True, 5, "?", [], {}, [{}], {"a": []}]


@pytest.fixture
def content_of(new_room):
    """Return a function that makes an event that has this content."""
    return lambda content, version="12": new_room(version).propose(ALICE, "org.example.x", content, "")


# --- m.room.create ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "content", "creators"),
    [
        ("1", {"creator": BOB}, (BOB,)),
        ("10", {"creator": BOB, "additional_creators": [CAROL]}, (BOB,)),
        ("10", {"creator": 5}, ()),
        ("11", {"creator": BOB}, (ALICE,)),
        ("11", {"additional_creators": [CAROL]}, (ALICE,)),
        ("12", {"creator": BOB}, (ALICE,)),
        ("12", {"additional_creators": [CAROL, BOB]}, (ALICE, CAROL, BOB)),
    ],
)
def test_the_creators_are_whom_the_room_version_means(new_room, version, content, creators):
    room = new_room(version, create_content=content, creator_joins=False)

    assert create.creators_of(room.create) == creators


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_a_create_event_is_as_good_as_nothing(content_of, garbage):
    event = content_of(dict.fromkeys(("m.federate", "type", "predecessor", "additional_creators"), garbage))

    assert create.is_federated(event)
    assert create.room_type_of(event) in {None, "?"}
    assert create.predecessor_of(event) is None
    assert create.creators_of(event) == (ALICE,)


def test_a_create_event_tells_version_type_federation_and_predecessor(content_of):
    event = content_of(
        {
            "room_version": "6",
            "type": "m.space",
            "m.federate": False,
            "predecessor": {"room_id": "!old", "event_id": "$e"},
        }
    )

    assert create.room_version_of(event) == "6"
    assert create.room_type_of(event) == "m.space"
    assert not create.is_federated(event)
    assert create.predecessor_of(event) == "!old"


@pytest.mark.parametrize(
    ("content", "version"), [({}, "1"), ({"room_version": 5}, ""), ({"room_version": None}, "")]
)
def test_a_room_without_version_is_of_the_first(content_of, content, version):
    assert create.room_version_of(content_of(content)) == version


# --- m.room.member ----------------------------------------------------------------------------------------


def test_who_never_had_a_membership_has_left():
    assert member.membership_of(None) == "leave"


@pytest.mark.parametrize("garbage", [*GARBAGE[:3], *GARBAGE[4:], ""])
def test_garbage_is_no_membership(content_of, garbage):
    assert member.membership_of(content_of({"membership": garbage})) == "leave"


def test_a_member_event_tells_membership_authority_and_what_was_signed(content_of):
    content = {"membership": "join", "join_authorised_via_users_server": BOB}

    assert member.membership_of(content_of(content)) == member.membership_in(content) == "join"
    assert member.authoriser_of(content) == BOB
    assert member.third_party_signed_of(content) is None
    assert member.third_party_signed_of({"third_party_invite": {"signed": {"token": "x"}}}) == {"token": "x"}


@pytest.mark.parametrize("garbage", [*GARBAGE[:3], *GARBAGE[4:]])
def test_garbage_is_no_authority_and_not_signed(garbage):
    assert member.authoriser_of({"join_authorised_via_users_server": garbage}) is None
    assert member.third_party_signed_of({"third_party_invite": garbage}) is None
    if not isinstance(garbage, dict):
        assert member.third_party_signed_of({"third_party_invite": {"signed": garbage}}) is None


# --- m.room.join_rules ------------------------------------------------------------------------------------


def test_a_room_without_join_rule_takes_invitations(content_of):
    assert join_rules.join_rule_of(None) == join_rules.join_rule_of(content_of({})) == "invite"
    assert join_rules.join_rule_of(content_of({"join_rule": "public"})) == "public"


@pytest.mark.parametrize("garbage", [*GARBAGE[:3], *GARBAGE[4:]])
def test_nobody_joins_by_a_rule_that_is_garbage(content_of, garbage):
    assert join_rules.join_rule_of(content_of({"join_rule": garbage})) == ""


@pytest.mark.parametrize("version", ALL)
def test_join_rules_exist_from_the_version_on_that_brought_them(version):
    rules = ROOM_VERSIONS[version]

    assert join_rules.lets_knock("knock", rules) is (int(version) >= 7)
    assert join_rules.is_restricted("restricted", rules) is (int(version) >= 8)
    assert join_rules.lets_knock("knock_restricted", rules) is (int(version) >= 10)
    assert join_rules.is_restricted("knock_restricted", rules) is (int(version) >= 10)
    for join_rule in ("public", "invite", "private", ""):
        assert not join_rules.lets_knock(join_rule, rules)
        assert not join_rules.is_restricted(join_rule, rules)
    assert not join_rules.lets_knock("restricted", rules)
    assert not join_rules.is_restricted("knock", rules)


def test_the_allowed_rooms_are_the_conditions_that_are_understood(content_of):
    allow = [
        {"type": "m.room_membership", "room_id": "!a:example.org"},
        {"type": "org.example.other", "room_id": "!b:example.org"},
        {"type": "m.room_membership", "room_id": 7},
        {"type": "m.room_membership"},
        "x",
        {"type": "m.room_membership", "room_id": "!c"},
        {"type": "m.room_membership", "room_id": "!a:example.org"},
    ]

    assert join_rules.allowed_rooms(content_of({"allow": allow})) == ["!a:example.org", "!c"]
    assert join_rules.allowed_rooms(None) == []


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_allows_no_room(content_of, garbage):
    assert join_rules.allowed_rooms(content_of({"allow": garbage})) == []


# --- m.room.history_visibility ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["invited", "joined", "shared", "world_readable"])
def test_a_history_visibility_that_is_understood_counts(content_of, value):
    assert history_visibility.history_visibility_of(content_of({"history_visibility": value})) == value


@pytest.mark.parametrize("garbage", [*GARBAGE, "default", ""])
def test_any_other_history_is_shared(content_of, garbage):
    assert history_visibility.history_visibility_of(content_of({"history_visibility": garbage})) == "shared"
    assert history_visibility.history_visibility_of(content_of({})) == "shared"
    assert history_visibility.history_visibility_of(None) == "shared"


# --- m.room.power_levels ----------------------------------------------------------------------------------


def test_power_levels_default_to_what_the_spec_says(new_room, content_of):
    room = new_room("11")
    for levels in (PowerLevels.of(None, room.create, V11), PowerLevels.of(content_of({}), room.create, V11)):
        assert (levels.ban, levels.kick, levels.redact, levels.invite) == (50, 50, 50, 0)
        assert levels.event_level("m.room.topic", is_state=True) == 50
        assert levels.event_level("m.room.message", is_state=False) == 0
        assert levels.notification_level("room") == 50
        assert levels.user_level(BOB) == 0


@pytest.mark.parametrize("version", ALL[:11])
def test_the_creator_has_100_only_until_there_are_power_levels(new_room, content_of, version):
    room = new_room(version)

    assert PowerLevels.of(None, room.create, room.rules).user_level(ALICE) == 100
    assert PowerLevels.of(content_of({}), room.create, room.rules).user_level(ALICE) == 0
    assert PowerLevels.of(None, None, room.rules).user_level(ALICE) == 0


def test_creators_have_infinite_power_from_version_12_on(new_room, content_of):
    room = new_room("12", create_content={"additional_creators": [BOB]})
    content = {"users_default": 3, "users": {ALICE: 1, CAROL: 2**53 - 1}}
    levels = PowerLevels.of(content_of(content), room.create, V12)

    assert levels.user_level(ALICE) == levels.user_level(BOB) == CREATOR_LEVEL == math.inf
    assert levels.user_level(CAROL) == 2**53 - 1 < CREATOR_LEVEL
    assert PowerLevels.of(None, room.create, V12).user_level(CAROL) == 0


def test_power_levels_tell_what_they_hold(content_of):
    content = {
        "ban": 1, "kick": 2, "redact": 3, "invite": 4, "state_default": 5, "events_default": 6,
        "users_default": 7, "users": {BOB: 8}, "events": {"m.room.topic": 9}, "notifications": {"room": 10},
    }  # fmt: skip
    levels = PowerLevels.of(content_of(content), None, V12)

    assert (levels.ban, levels.kick, levels.redact, levels.invite) == (1, 2, 3, 4)
    assert levels.event_level("x", is_state=True) == 5
    assert levels.event_level("x", is_state=False) == 6
    assert levels.event_level("m.room.topic", is_state=True) == 9
    assert levels.user_level(ALICE) == 7
    assert levels.user_level(BOB) == 8
    assert levels.notification_level("room") == 10
    assert levels.notification_level("other") == 50


@pytest.mark.parametrize("garbage", [*GARBAGE, {BOB: {}}, {BOB: "?"}])
@pytest.mark.parametrize("rules", [V1, V6, V12])
def test_garbage_in_power_levels_counts_as_left_out(garbage, rules):
    garbage = {"a": garbage} if garbage == 5 else garbage  # 5 is a level wherever one is asked for
    keys = (
        "ban", "kick", "redact", "invite", "state_default", "events_default", "users_default", "users",
        "events", "notifications",
    )  # fmt: skip
    levels = PowerLevels(dict.fromkeys(keys, garbage), None, rules)

    assert (levels.ban, levels.kick, levels.redact, levels.invite) == (50, 50, 50, 0)
    assert levels.user_level(BOB) == 0
    assert levels.event_level(BOB, is_state=True) == 50
    assert levels.event_level(BOB, is_state=False) == 0
    assert levels.notification_level(BOB) == 50


@pytest.mark.parametrize(
    ("value", "v1", "v6", "v12"),
    [
        (50, 50, 50, 50),
        (-(2**53) + 1, -(2**53) + 1, -(2**53) + 1, -(2**53) + 1),
        ("50", 50, 50, None),
        (" \t-0050\n", -50, -50, None),
        (50.57, 50, None, None),
        (-50.57, -50, None, None),
        (math.inf, None, None, None),
        (math.nan, None, None, None),
        (True, None, None, None),
        ("1" * 5000, None, None, None),
        ("\u0665", None, None, None),
        ("\u2003" + "5", None, None, None),
    ],
)
def test_levels_are_read_as_the_room_version_does(value, v1, v6, v12):
    assert [read_level(value, rules) for rules in (V1, V6, V12)] == [v1, v6, v12]
