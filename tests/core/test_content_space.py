"""Reading `m.space.child`: which rooms are children, and in which order."""

import pytest

from homeserver.core.content.space import in_order, is_child, is_suggested, order_of

ALICE = "@alice:example.org"
VIA = {"via": ["example.org"]}


class Child:
    """A child as the specification's example gives it, unimportant fields left out."""

    def __init__(self, state_key, origin_server_ts, content):
        self.state_key = state_key
        self.origin_server_ts = origin_server_ts
        self.content = {**VIA, **content}


@pytest.fixture
def child_of(new_room):
    """Return a function that makes an `m.space.child`."""
    room = new_room()
    return lambda content, state_key="!a:b": room.propose(ALICE, "m.space.child", content, state_key)


@pytest.mark.parametrize(
    ("content", "state_key", "expected"),
    [
        (VIA, "!a:b", True),
        (VIA, "!hash-of-a-create-event", True),
        ({**VIA, "order": 5, "suggested": "x"}, "!a:b", True),
        (VIA, "", False),
        (VIA, "#a:b", False),
        (VIA, "!a:b\0", False),
        ({}, "!a:b", False),
        ({"via": None}, "!a:b", False),
        ({"via": "example.org"}, "!a:b", False),
        ({"via": []}, "!a:b", False),
        ({"via": ["example.org", 5]}, "!a:b", False),
    ],
)
def test_a_child_names_a_room_and_servers(child_of, content, state_key, expected):
    assert is_child(child_of(content, state_key)) is expected


@pytest.mark.parametrize("value", [True, False, None, "true", 1])
def test_only_true_suggests(child_of, value):
    assert is_suggested(child_of({**VIA, "suggested": value})) is (value is True)


@pytest.mark.parametrize("order", [" ", "~", "abc", "x" * 50])
def test_an_order_is_printable_ascii(child_of, order):
    assert order_of(child_of({"order": order})) == order


@pytest.mark.parametrize("order", ["", "x" * 51, "\x1f", "\x7f", "é", "a\n", 5, None, ["a"], {}])
def test_what_is_no_order_is_none(child_of, order):
    assert order_of(child_of({"order": order})) is None


def test_the_example_of_the_specification_is_in_order():
    children = [
        Child("!d:example.org", 1640741000000, {}),
        Child("!a:example.org", 1640141000000, {"order": "aaaa"}),
        Child("!e:example.org", 1640641000000, {}),
        Child("!c:example.org", 1640841000000, {"order": "first"}),
        Child("!b:example.org", 1640341000000, {"order": " "}),
    ]

    assert [child.state_key[1] for child in in_order(children)] == ["b", "a", "c", "e", "d"]


def test_equals_are_ordered_by_time_and_at_last_by_room_id():
    children = [
        Child("!c", 2, {"order": "x"}),
        Child("!b", 2, {"order": "x"}),
        Child("!d", 1, {"order": "x"}),
        Child("!a", 3, {"order": "x"}),
        Child("!f", 1, {}),
        Child("!e", 1, {"order": "x" * 51}),
    ]

    assert [child.state_key for child in in_order(children)] == ["!d", "!b", "!c", "!a", "!e", "!f"]
