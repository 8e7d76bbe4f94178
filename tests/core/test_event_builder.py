"""Making events: hashed, signed, named, and within the limits."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.core.canonical_json import CANONICAL_INTEGER_MAX, check_canonical
from homeserver.core.errors import BadJson, TooLarge
from homeserver.core.event.builder import build_event
from homeserver.core.event.pdu import Event
from homeserver.core.event.size import EVENT_BYTES_MAX
from homeserver.core.pdu_form import check_format, required_signers, with_valid_hash
from homeserver.core.redaction import redact
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.core.signing import SigningKey, event_id_of, reference_hash, verify_json

KEY = SigningKey(bytes(range(32)), "a_1")
ALL_RULES = list(ROOM_VERSIONS.values())
NEWEST = ROOM_VERSIONS["12"]
EARLIER = "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"
ATTRIBUTES = (
    "auth_events", "canonical", "content", "depth", "event_id", "is_state", "origin_server_ts", "pdu",
    "prev_events", "redacted_because", "redacts", "room_id", "rules", "sender", "state_key", "sticky", "type",
)  # fmt: skip


def build(rules=NEWEST, **changes):
    fields = {
        "rules": rules,
        "type": "m.room.message",
        "sender": "@alice:example.org",
        "content": {"msgtype": "m.text", "body": "hello"},
        "room_id": "!room:example.org",
        "prev_events": [EARLIER],
        "auth_events": [EARLIER],
        "depth": 7,
        "origin_server_ts": 1_732_000_000_000,
        "server_name": "example.org",
        "signing_key": KEY,
    }
    return build_event(**{**fields, **changes})


def whole(event):
    """Everything that must hold of an event of ours."""
    assert check_format(event.pdu, event.rules) is None
    assert required_signers(event.pdu, event.rules) == {"example.org"}
    assert with_valid_hash(event.pdu, event.rules) is event.pdu
    for pdu in (event.pdu, redact(event.pdu, event.rules)):
        assert event_id_of(pdu, event.rules) == event.event_id
    signed = redact(event.pdu, event.rules)
    assert verify_json(signed, "example.org", KEY.key_id, KEY.public_key)
    return event


@pytest.mark.parametrize("rules", ALL_RULES, ids=repr)
def test_an_event_of_ours_passes_the_checks_of_its_room_version(rules):
    event = whole(build(rules))

    assert event.type == "m.room.message"
    assert event.room_id == "!room:example.org"
    assert event.state_key is None
    assert not event.is_state
    assert event.prev_events == event.auth_events == (EARLIER,)
    assert event.depth == 7
    assert event.content == {"msgtype": "m.text", "body": "hello"}
    assert event.redacts is None
    whole(build(rules, type="m.room.topic", content={"topic": "ü"}, state_key=""))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ALL_RULES),
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-CANONICAL_INTEGER_MAX, CANONICAL_INTEGER_MAX)
            | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=4,
    ),
    st.sampled_from(["m.room.message", "m.room.member", "m.room.power_levels", "m.room.redaction"]),
    st.sampled_from([{}, {"state_key": "ü"}, {"sticky_ms": 5}, {"redacts": EARLIER}]),
)
def test_any_content_survives_being_stored_and_read(rules, content, event_type, others):
    try:
        check_canonical(content)
    except ValueError:
        with pytest.raises(BadJson):
            build(rules, content=content)
        return
    event = build(rules, type=event_type, content=content, **others)

    for copy in (
        Event.parse(event.canonical, rules),
        Event.parse(event.canonical, rules, event.event_id),
        Event.stored(event.canonical, rules, event.event_id),
        Event.from_pdu({**event.pdu, "unsigned": {"age": 5}}, rules),
    ):
        for attribute in ATTRIBUTES:
            assert getattr(copy, attribute) == getattr(event, attribute), attribute
        assert json.loads(copy.client_prefix + b"}") == json.loads(event.client_prefix + b"}")


def test_the_create_event_of_version_12_names_its_room():
    create = whole(
        build(
            type="m.room.create",
            state_key="",
            content={"room_version": "12"},
            room_id=None,
            prev_events=[],
            auth_events=[],
            depth=1,
        )
    )

    assert "room_id" not in create.pdu
    assert create.room_id == "!" + create.event_id[1:]
    assert Event.parse(create.canonical, NEWEST).room_id == create.room_id


@pytest.mark.parametrize("version", ["1", "2"])
def test_old_versions_refer_to_events_with_their_hash(version):
    rules = ROOM_VERSIONS[version]
    earlier = build(rules)
    event = whole(build(rules, prev_events=[earlier], auth_events=[earlier, "$other:example.org"]))

    assert event.prev_events == (earlier.event_id,)
    assert event.auth_events == (earlier.event_id, "$other:example.org")
    hashes = {"sha256": reference_hash(earlier.pdu, rules)}
    assert event.pdu["prev_events"] == [[earlier.event_id, hashes]]
    assert event.event_id.startswith("$")
    assert event.event_id.endswith(":example.org")
    assert event.event_id != earlier.event_id


def test_newer_versions_take_events_for_references_too():
    earlier = build()

    assert build(prev_events=[earlier]).pdu["prev_events"] == [earlier.event_id]


@pytest.mark.parametrize("rules", ALL_RULES, ids=repr)
def test_the_target_of_a_redaction_is_where_its_version_wants_it(rules):
    content = {"reason": "spam"}
    event = whole(build(rules, type="m.room.redaction", content=content, redacts=EARLIER))
    holder = event.content if rules.redaction.redacts_in_content else event.pdu

    assert event.redacts == EARLIER
    assert holder["redacts"] == EARLIER
    assert ("redacts" in event.pdu) is not rules.redaction.redacts_in_content
    assert content == {"reason": "spam"}


@pytest.mark.parametrize("content", [{"a": 1.5}, {"a": 2**53}, {"a": "\ud800"}, {"a": {"\udc00": 1}}])
@pytest.mark.parametrize("rules", [ROOM_VERSIONS["1"], NEWEST], ids=repr)
def test_content_that_is_not_canonical_is_bad_json(content, rules):
    with pytest.raises(BadJson):
        build(rules, content=content)


def test_an_event_of_just_the_limit_passes_and_one_byte_more_does_not():
    room = EVENT_BYTES_MAX - len(build(content={"body": ""}).canonical)
    largest = whole(build(content={"body": "a" * room}))

    assert len(largest.canonical) == EVENT_BYTES_MAX
    with pytest.raises(TooLarge, match="65537"):
        build(content={"body": "a" * (room + 1)})
    with pytest.raises(TooLarge):
        build(content={"body": "ä" * 35_000})


@pytest.mark.parametrize("key", ["type", "state_key", "sender", "room_id"])
def test_a_key_over_255_bytes_is_too_large(key):
    prefix = {"sender": "@", "room_id": "!"}.get(key, "")
    suffix = ":example.org" if prefix else ""
    fit = prefix + "a" * (255 - len(prefix) - len(suffix)) + suffix

    build(**{key: fit})
    for too_large in (fit + "a", prefix + "ä" * 128 + suffix, "\ud800" * 100):
        with pytest.raises(TooLarge, match=key):
            build(**{key: too_large})


def test_half_a_surrogate_pair_outside_of_the_content_is_bad_json():
    with pytest.raises(BadJson):
        build(state_key="\ud800")


def test_depth_stays_at_the_limit_once_reached():
    assert build(depth=CANONICAL_INTEGER_MAX + 5).depth == CANONICAL_INTEGER_MAX


def test_the_same_event_is_signed_the_same_way_and_another_one_is_not():
    assert build().canonical == build().canonical
    assert build(origin_server_ts=1).event_id != build().event_id
    first = ROOM_VERSIONS["1"]
    assert build(first, origin_server_ts=1).event_id != build(first).event_id
