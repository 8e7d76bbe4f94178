"""Redaction: https://spec.matrix.org/v1.19/rooms/."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.core.redaction import redact
from homeserver.core.room_versions import ROOM_VERSIONS

TYPES = [
    "m.room.member",
    "m.room.create",
    "m.room.join_rules",
    "m.room.power_levels",
    "m.room.aliases",
    "m.room.history_visibility",
    "m.room.redaction",
    "m.room.message",
]
CONTENT_KEYS = [
    "membership",
    "creator",
    "join_rule",
    "allow",
    "ban",
    "events",
    "events_default",
    "invite",
    "kick",
    "redact",
    "state_default",
    "users",
    "users_default",
    "aliases",
    "history_visibility",
    "redacts",
    "join_authorised_via_users_server",
    "third_party_invite",
    "body",
]
TOP_LEVEL_KEYS = [
    "event_id",
    "room_id",
    "sender",
    "state_key",
    "hashes",
    "signatures",
    "depth",
    "prev_events",
    "prev_state",
    "auth_events",
    "origin",
    "origin_server_ts",
    "membership",
    "unsigned",
    "redacts",
    "extra",
]
PDUS = st.builds(
    lambda top, kind, content: {**top, "type": kind, "content": content},
    st.dictionaries(st.sampled_from(TOP_LEVEL_KEYS), st.integers()),
    st.sampled_from(TYPES),
    st.dictionaries(
        st.sampled_from(CONTENT_KEYS),
        st.integers() | st.just({"signed": 1, "display_name": "x"}) | st.just({}),
    ),
)


@settings(max_examples=300, deadline=None)
@given(PDUS, st.sampled_from(list(ROOM_VERSIONS.values())))
def test_redacting_twice_is_redacting_once_and_leaves_the_original_alone(pdu, rules):
    before = copy.deepcopy(pdu)
    once = redact(pdu, rules)

    assert redact(once, rules) == once
    assert pdu == before
    assert "unsigned" not in once


def kept(event_type, version):
    everything = dict.fromkeys(CONTENT_KEYS, "x")
    return set(redact({"type": event_type, "content": everything}, ROOM_VERSIONS[version])["content"])


POWER_LEVELS = {
    "ban",
    "events",
    "events_default",
    "kick",
    "redact",
    "state_default",
    "users",
    "users_default",
}


@pytest.mark.parametrize(
    ("event_type", "versions", "keys"),
    [
        ("m.room.member", "1 2 3 4 5 6 7 8", {"membership"}),
        ("m.room.member", "9 10 11 12", {"membership", "join_authorised_via_users_server"}),
        ("m.room.create", "1 2 3 4 5 6 7 8 9 10", {"creator"}),
        ("m.room.create", "11 12", set(CONTENT_KEYS)),
        ("m.room.join_rules", "1 2 3 4 5 6 7", {"join_rule"}),
        ("m.room.join_rules", "8 9 10 11 12", {"join_rule", "allow"}),
        ("m.room.power_levels", "1 2 3 4 5 6 7 8 9 10", POWER_LEVELS),
        ("m.room.power_levels", "11 12", POWER_LEVELS | {"invite"}),
        ("m.room.aliases", "1 2 3 4 5", {"aliases"}),
        ("m.room.aliases", "6 7 8 9 10 11 12", set()),
        ("m.room.history_visibility", "1 6 9 11 12", {"history_visibility"}),
        ("m.room.redaction", "1 2 3 4 5 6 7 8 9 10", set()),
        ("m.room.redaction", "11 12", {"redacts"}),
        ("m.room.message", "1 6 11 12", set()),
    ],
)
def test_each_version_keeps_what_its_page_says(event_type, versions, keys):
    for version in versions.split():
        assert kept(event_type, version) == keys


def test_the_top_level_keys_change_in_version_11():
    pdu = {**dict.fromkeys(TOP_LEVEL_KEYS, "x"), "type": "m.room.message", "content": {}}
    dropped = {version: set(pdu) - set(redact(pdu, rules)) for version, rules in ROOM_VERSIONS.items()}

    for version in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]:
        assert dropped[version] == {"unsigned", "redacts", "extra"}
    for version in ["11", "12"]:
        assert dropped[version] == {"unsigned", "redacts", "extra", "origin", "membership", "prev_state"}


def test_only_the_signed_part_of_a_third_party_invite_stays_from_version_11_on():
    content = {"membership": "invite", "third_party_invite": {"signed": {"token": "t"}, "display_name": "a…"}}
    pdu = {"type": "m.room.member", "content": content}

    assert redact(pdu, ROOM_VERSIONS["10"])["content"] == {"membership": "invite"}
    assert redact(pdu, ROOM_VERSIONS["11"])["content"] == {
        "membership": "invite",
        "third_party_invite": {"signed": {"token": "t"}},
    }


@pytest.mark.parametrize("content", [None, 5, [], "x"])
def test_a_content_that_is_no_object_becomes_an_empty_one(content):
    for rules in ROOM_VERSIONS.values():
        assert redact({"type": "m.room.create", "content": content}, rules)["content"] == {}
