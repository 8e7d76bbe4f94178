"""Filters: https://spec.matrix.org/v1.19/client-server-api/#filtering."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.errors import BadJson, InvalidParam
from homeserver.core.filters import (
    EventFilter,
    Filter,
    event_passes,
    parse_filter,
    parse_room_event_filter,
    room_passes,
    select_fields,
)


def passes(event_filter, type="m.room.message", sender="@a:example.org", content=None):  # noqa: A002 - spec's word
    return event_passes(parse_room_event_filter(event_filter), type, sender, content or {})


def test_an_empty_filter_lets_everything_through():
    empty = parse_filter(b"{}")

    assert empty == parse_filter({}) == parse_filter("{}") == Filter()
    assert empty.event_format == "client"
    assert not empty.room.include_leave
    assert event_passes(empty.room.timeline, "a", "b", {})
    assert event_passes(empty.presence, "a", "b", {})
    assert room_passes(empty.room, "!a:example.org")
    assert room_passes(empty.room.state, "!a:example.org")


def test_the_filter_of_the_spec_is_read_whole():
    parsed = parse_filter(
        {
            "event_fields": ["type", "content", "sender"],
            "event_format": "federation",
            "presence": {"not_senders": ["@alice:example.com"], "types": ["m.presence"]},
            "room": {
                "ephemeral": {"not_rooms": ["!a:example.org"], "types": ["m.receipt", "m.typing"]},
                "state": {"types": ["m.room.*"], "lazy_load_members": True},
                "timeline": {
                    "limit": 10,
                    "not_types": ["m.room.message"],
                    "unread_thread_notifications": True,
                },
                "include_leave": True,
                "rooms": ["!a:example.org"],
                "org.example.unknown": [],
            },
            "org.example.unknown": {},
        }
    )

    assert parsed.event_fields == ("type", "content", "sender")
    assert parsed.event_format == "federation"
    assert not event_passes(parsed.presence, "m.presence", "@alice:example.com", {})
    assert event_passes(parsed.presence, "m.presence", "@bob:example.com", {})
    assert not event_passes(parsed.presence, "m.other", "@bob:example.com", {})
    assert parsed.room.include_leave
    assert parsed.room.state.lazy_load_members
    assert parsed.room.timeline.limit == 10
    assert not room_passes(parsed.room.ephemeral, "!a:example.org")
    assert not room_passes(parsed.room, "!b:example.org")


def test_lists_that_exclude_win_over_lists_that_include():
    assert not passes({"types": ["m.room.message"], "not_types": ["m.room.*"]})
    assert not passes({"senders": ["@a:example.org"], "not_senders": ["@a:example.org"]})
    both = parse_room_event_filter({"rooms": ["!a"], "not_rooms": ["!a"]})
    assert not room_passes(both, "!a")


def test_an_empty_list_includes_nothing_and_excludes_nothing():
    assert not passes({"types": []})
    assert not passes({"senders": []})
    assert not room_passes(parse_room_event_filter({"rooms": []}), "!a")
    assert passes({"not_types": [], "not_senders": [], "not_rooms": []})


def test_a_url_in_the_content_can_be_asked_for_or_kept_out():
    assert passes({"contains_url": True}, content={"url": "mxc://a/b"})
    assert not passes({"contains_url": True})
    assert not passes({"contains_url": False}, content={"url": "mxc://a/b"})
    assert passes({"contains_url": False})


@pytest.mark.parametrize(
    ("pattern", "type", "matches"),
    [
        ("*", "", True),
        ("m.*", "m.room.message", True),
        ("m.*", "m", False),
        ("*.message", "m.room.message", True),
        ("m.*.message", "m.room.message", True),
        ("m.*.message", "m.message", False),
        ("a*a", "a", False),
        ("a*b*b", "ab", False),
        ("m.room", "m.room.message", False),
        ("m?room", "m.room", False),
        ("m.roo[m]", "m.room", False),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_is_special(pattern, type, matches):  # noqa: A002 - spec's word
    assert passes({"types": [pattern]}, type) is matches
    assert passes({"not_types": [pattern]}, type) is not matches


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_wildcards_match_as_a_regular_expression_would(pattern, text):
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None

    assert passes({"types": [pattern]}, text) is expected


def test_a_hostile_pattern_costs_linear_time():
    assert not passes({"types": ["*a" * 1_000 + "*b"]}, "a" * 100_000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b"\xff",
        "\ud800",
        b'{"room":[]}',
        b'{"room":{"timeline":{"limit":"10"}}}',
        b'{"room":{"timeline":{"limit":1.5}}}',
        b'{"event_format":"other"}',
        b'{"room":{"rooms":"!a"}}',
        b'{"room":{"state":{"lazy_load_members":"yes"}}}',
        b'{"presence":{"types":[1]}}',
        b'{"a":' * 100_000,
    ],
)
def test_a_filter_of_wrong_types_is_bad_json(data):
    with pytest.raises(BadJson):
        parse_filter(data)


def test_a_parsed_filter_of_wrong_types_is_bad_json():
    with pytest.raises(BadJson):
        parse_filter({"room": {"timeline": {"types": "m.room.message"}}})
    with pytest.raises(BadJson):
        parse_room_event_filter({"types": ["a"] * 10_001})


@pytest.mark.parametrize(
    "data",
    [
        {"room": {"timeline": {"limit": -1}}},
        {"room": {"rooms": ["a"]}},
        {"room": {"account_data": {"not_rooms": ["#a:example.org"]}}},
        {"room": {"state": {"senders": ["alice"]}}},
        {"presence": {"not_senders": ["alice"]}},
    ],
)
def test_a_value_that_cannot_be_is_an_invalid_parameter(data):
    with pytest.raises(InvalidParam):
        parse_filter(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | (
                st.dictionaries(
                    st.sampled_from(["room", "timeline", "types", "limit", "rooms", "presence"]), inner
                )
            )
        ),
        max_leaves=10,
    )
)
def test_garbage_is_refused_or_reads_back(value):
    try:
        parsed = parse_filter(msgspec.json.encode(value))
    except (BadJson, InvalidParam):
        return
    assert parse_filter(msgspec.json.encode(parsed)) == parsed


def test_fields_are_selected_by_path():
    event = {
        "type": "m",
        "content": {"body": "x", "m.relates_to": {"event_id": "$a", "a\\b": 1}, "n": None},
        "sender": "s",
    }

    assert select_fields(event, ["type", "content.body"]) == {"type": "m", "content": {"body": "x"}}
    assert select_fields(event, [r"content.m\.relates_to.event_id"]) == {
        "content": {"m.relates_to": {"event_id": "$a"}}
    }
    assert select_fields(event, [r"content.m\.relates_to.a\\b"]) == {"content": {"m.relates_to": {"a\\b": 1}}}
    assert select_fields(event, ["content.n"]) == {"content": {"n": None}}
    assert select_fields(event, ["content", "content.body"]) == {"content": event["content"]}
    assert select_fields(event, ["content.body", "content"])["content"] == event["content"]
    assert select_fields(event, ["content.body.x", "missing.y", "", "type.x"]) == {}
    assert select_fields(event, []) == {}


@given(st.lists(st.sampled_from(["a", "a.b", "a.b.c", "a.d", "e", r"a\.b", "a.b.x"])))
def test_selecting_never_alters_the_event_nor_invents_anything(paths):
    event = {"a": {"b": {"c": 1, "x": 2}, "d": 3}, "e": 4, "a.b": 5}
    selected = select_fields(event, paths)

    assert event == {"a": {"b": {"c": 1, "x": 2}, "d": 3}, "e": 4, "a.b": 5}
    assert (
        selected == select_fields(event, sorted(paths)) == select_fields(event, sorted(paths, reverse=True))
    )


def test_a_filter_of_events_outside_of_rooms_knows_no_rooms():
    assert not hasattr(EventFilter(), "rooms")
