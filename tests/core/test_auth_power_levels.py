"""The rules for `m.room.power_levels`, sentence by sentence, in every room version that has them."""

import pytest

from homeserver.core.room_versions import ROOM_VERSIONS

ALICE, BOB, CAROL, DAVE = (f"@{name}:example.org" for name in ("alice", "bob", "carol", "dave"))
ALL = list(ROOM_VERSIONS)
INTEGERS, TEXT = ALL[9:], ALL[:9]
FLOATS, NO_FLOATS_BUT_TEXT = ALL[:5], ALL[5:9]
NAMES = ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"]


@pytest.fixture
def change(room_with_levels):
    """Let Bob (50) change the levels; both before and after hold what lets him send them at all."""

    def verdict(version, before, after, sender=BOB):
        users = {BOB: 50, CAROL: 50} | ({} if version == "12" else {ALICE: 100})
        events = {"m.room.power_levels": 50}
        room = room_with_levels(version)
        room.set_state(
            "m.room.power_levels",
            {
                **before,
                "users": users | before.get("users", {}),
                "events": events | before.get("events", {}),
            },
        )
        content = {
            **after,
            "users": users | after.get("users", {}),
            "events": events | after.get("events", {}),
        }
        for gone in after.get("without_users", ()):
            del content["users"][gone]
        content.pop("without_users", None)
        return room.verdict(sender, "m.room.power_levels", content, "")

    return verdict


@pytest.mark.parametrize("version", ALL)
def test_power_levels_are_state_that_takes_its_level(room_with_levels, version):
    room = room_with_levels(version)

    assert "50" in room.verdict(DAVE, "m.room.power_levels", {}, "").reason


@pytest.mark.parametrize("version", ALL)
def test_the_first_power_levels_of_a_room_may_hold_any_level(new_room, version):
    room = new_room(version)

    assert room.verdict(ALICE, "m.room.power_levels", {"users": {BOB: 1000}, "ban": 5000}, "") is None


@pytest.mark.parametrize("version", ALL)
def test_power_levels_may_be_empty(new_room, version):
    assert new_room(version).verdict(ALICE, "m.room.power_levels", {}, "") is None


@pytest.mark.parametrize("version", ALL)
def test_leaving_all_as_it_is_takes_nothing_more(change, version):
    levels = {"ban": 5000, "users": {DAVE: 7000}, "events": {"a": 6000}, "notifications": {"room": 90}}

    assert change(version, levels, levels) is None


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("users", [None, [], "x", 5, {BOB: None}, {BOB: "x"}, {BOB: {}}, {BOB: True}])
def test_users_are_an_object_of_levels(new_room, version, users):
    assert "users" in new_room(version).verdict(ALICE, "m.room.power_levels", {"users": users}, "").reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    "user_id", ["", "bob", "@bob", "@bob:", "bob:example.org", "#bob:example.org", "@b:" + "x" * 256]
)
def test_the_keys_of_users_are_user_ids(new_room, version, user_id):
    denied = new_room(version).verdict(ALICE, "m.room.power_levels", {"users": {user_id: 0}}, "")

    assert "for users only" in denied.reason


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("user_id", ["@Bob Old!:example.org", "@:example.org", "@b:[::1]:8448", "@b:1.2.3.4"])
def test_old_user_ids_are_user_ids(new_room, version, user_id):
    assert new_room(version).verdict(ALICE, "m.room.power_levels", {"users": {user_id: 0}}, "") is None


@pytest.mark.parametrize("version", INTEGERS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["50", " 50 ", None, True, [], {}, ""])
def test_levels_are_integers_from_version_10_on(new_room, version, name, value):
    assert name in new_room(version).verdict(ALICE, "m.room.power_levels", {name: value}, "").reason


@pytest.mark.parametrize("version", INTEGERS)
@pytest.mark.parametrize("name", ["events", "notifications"])
@pytest.mark.parametrize("value", [None, [], "x", 50, {"a": "50"}, {"a": None}, {"a": False}, {"a": {}}])
def test_events_and_notifications_are_objects_of_integers_from_version_10_on(new_room, version, name, value):
    assert name in new_room(version).verdict(ALICE, "m.room.power_levels", {name: value}, "").reason


@pytest.mark.parametrize("version", TEXT)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["50", " 50 ", "\t+0050\n", "-7", 50, None])
def test_levels_may_be_text_before_version_10(new_room, version, name, value):
    assert new_room(version).verdict(ALICE, "m.room.power_levels", {name: value}, "") is None


@pytest.mark.parametrize("version", TEXT)
@pytest.mark.parametrize(
    "value", ["", " ", "x", "5.5", "5e3", "+ 5", "--5", "1_000", "٣", "0x10", "1" * 5000, True, [], {}]
)
def test_text_that_is_no_integer_is_refused(new_room, version, value):
    room = new_room(version)

    assert room.verdict(ALICE, "m.room.power_levels", {"ban": value}, "") is not None
    assert room.verdict(ALICE, "m.room.power_levels", {"users": {BOB: value}}, "") is not None
    assert room.verdict(ALICE, "m.room.power_levels", {"events": {"x": value}}, "") is not None


def with_levels_in(version, new_room, content):
    """Set levels as a foreign server could, since `build_event` itself takes no floats."""
    room = new_room(version)
    event = room.propose(ALICE, "m.room.power_levels", {}, "")
    event.content.update(content)
    return room, event


@pytest.mark.parametrize("version", FLOATS)
@pytest.mark.parametrize("value", [50.57, 5.114698e4, -0.5, 1e300])
def test_levels_may_be_floats_before_version_6(new_room, version, value, authorize_in):
    room, event = with_levels_in(version, new_room, {"users": {BOB: value}, "ban": value})

    assert authorize_in(room, event) is None


@pytest.mark.parametrize("version", [*NO_FLOATS_BUT_TEXT, *INTEGERS])
def test_levels_are_no_floats_from_version_6_on(new_room, version, authorize_in):
    room, event = with_levels_in(version, new_room, {"ban": 50.5})

    assert authorize_in(room, event) is not None


@pytest.mark.parametrize("version", FLOATS)
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_is_beyond_all_floats_is_refused(new_room, version, value, authorize_in):
    room, event = with_levels_in(version, new_room, {"users": {BOB: value}})

    assert authorize_in(room, event) is not None


@pytest.mark.parametrize("creator", [ALICE, CAROL])
def test_creators_have_no_entry_where_they_have_infinite_power(new_room, creator):
    room = new_room("12", create_content={"additional_creators": [CAROL]})
    denied = room.verdict(ALICE, "m.room.power_levels", {"users": {creator: 100}}, "")

    assert "created the room" in denied.reason
    assert room.verdict(ALICE, "m.room.power_levels", {"users": {BOB: 100}}, "") is None


@pytest.mark.parametrize("version", ALL[:11])
def test_creators_have_an_entry_before_version_12(new_room, version):
    assert new_room(version).verdict(ALICE, "m.room.power_levels", {"users": {ALICE: 100}}, "") is None


def test_creators_set_any_level(room_with_levels):
    room = room_with_levels("12", ban=2**53 - 1)

    assert room.verdict(ALICE, "m.room.power_levels", {"ban": 0, "kick": 2**53 - 1}, "") is None


ALTERATIONS = [
    # present, new, whether Bob, at 50, may
    ({}, {"x": 50}, True),
    ({}, {"x": 51}, False),
    ({"x": 50}, {"x": 0}, True),
    ({"x": 51}, {"x": 0}, False),
    ({"x": 0}, {"x": 50}, True),
    ({"x": 0}, {"x": 51}, False),
    ({"x": 50}, {}, True),
    ({"x": 51}, {}, False),
    ({"x": 51}, {"x": 51}, True),
    ({"x": 51}, {"x": 52}, False),
]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("before", "after", "allowed"), ALTERATIONS)
def test_altering_a_level_takes_both_the_present_and_the_new_one(
    change, version, name, before, after, allowed
):
    named_before, named_after = ({name: levels["x"]} if levels else {} for levels in (before, after))

    assert (change(version, named_before, named_after) is None) is allowed


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("before", "after", "allowed"), ALTERATIONS)
def test_altering_the_level_of_a_type_takes_both_the_present_and_the_new_one(
    change, version, before, after, allowed
):
    assert (change(version, {"events": before}, {"events": after}) is None) is allowed


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("before", "after", "allowed"), ALTERATIONS)
def test_altering_a_notification_level_takes_both_from_version_6_on(change, version, before, after, allowed):
    expected = allowed or version in ALL[:5]

    assert (change(version, {"notifications": before}, {"notifications": after}) is None) is expected


@pytest.mark.parametrize("version", ALL[:5])
@pytest.mark.parametrize("notifications", [None, [], {"room": {}}])
def test_notifications_are_anything_before_version_6(new_room, version, notifications):
    content = {"notifications": notifications}

    assert new_room(version).verdict(ALICE, "m.room.power_levels", content, "") is None


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ({}, {"users": {DAVE: 50}}, True),
        ({}, {"users": {DAVE: 51}}, False),
        ({"users": {DAVE: 49}}, {"users": {DAVE: 0}}, True),
        ({"users": {DAVE: 49}}, {"users": {DAVE: 50}}, True),
        ({"users": {DAVE: 49}}, {"users": {DAVE: 51}}, False),
        ({"users": {DAVE: 49}}, {}, True),
        ({"users": {DAVE: 50}}, {}, False),
        ({"users": {DAVE: 50}}, {"users": {DAVE: 0}}, False),
        ({"users": {DAVE: 51}}, {"users": {DAVE: 50}}, False),
        ({"users": {DAVE: 51}}, {"users": {DAVE: 51}}, True),
        ({}, {"users": {CAROL: 0}}, False),
        ({}, {"users": {BOB: 0}}, True),
        ({}, {"without_users": [BOB]}, True),
        ({}, {"without_users": [CAROL]}, False),
        ({}, {"users": {BOB: 51}}, False),
    ],
)
def test_a_user_changes_levels_below_the_own_one_and_the_own_one_downwards(
    change, version, before, after, allowed
):
    assert (change(version, before, after) is None) is allowed


@pytest.mark.parametrize("version", TEXT)
def test_writing_a_level_otherwise_is_no_change(change, version):
    assert change(version, {"ban": 80, "users": {DAVE: 70}}, {"ban": "80", "users": {DAVE: " +070 "}}) is None


@pytest.mark.parametrize("version", ALL)
def test_garbage_that_a_room_holds_already_counts_as_left_out(new_room, version):
    room = new_room(version)
    garbage = {"users": {BOB: "x"}, "users_default": {}, "events": [], "ban": "?", "notifications": 7}
    room.force(ALICE, "m.room.power_levels", garbage, "")
    room.join(BOB)

    assert room.verdict(BOB, "m.room.message", {}) is None
    assert room.verdict(BOB, "m.room.power_levels", {}, "") is not None
