"""Events as objects: reading, redacting and the JSON that clients see."""

import json

import orjson
import pytest

from homeserver.core.event.builder import build_event
from homeserver.core.event.format import client_event, stripped_state_event, told_to_sender, unsigned_json
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.core.signing import SigningKey, event_id_of

KEY = SigningKey(bytes(range(32)), "a_1")
ALL_RULES = list(ROOM_VERSIONS.values())
EARLIER = "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"


def build(rules=ALL_RULES[-1], **changes):
    fields = {
        "rules": rules,
        "type": "m.room.message",
        "sender": "@alice:example.org",
        "content": {"msgtype": "m.text", "body": "hellö"},
        "room_id": "!room:example.org",
        "prev_events": [EARLIER],
        "auth_events": [EARLIER],
        "depth": 7,
        "origin_server_ts": 1_732_000_000_000,
        "server_name": "example.org",
        "signing_key": KEY,
    }
    return build_event(**{**fields, **changes})


def test_a_client_sees_what_the_spec_lists_and_no_more():
    event = build()
    expected = {
        "content": {"msgtype": "m.text", "body": "hellö"},
        "event_id": event.event_id,
        "origin_server_ts": 1_732_000_000_000,
        "room_id": "!room:example.org",
        "sender": "@alice:example.org",
        "type": "m.room.message",
    }

    assert json.loads(client_event(event)) == expected
    assert json.loads(event.client_prefix + b"}") == expected
    assert json.loads(client_event(event, unsigned=b'{"age":5}')) == {**expected, "unsigned": {"age": 5}}
    del expected["room_id"]
    assert json.loads(client_event(event, room_id=False)) == expected
    assert event.sync_prefix is event.sync_prefix


def test_a_state_event_shows_its_state_key():
    event = build(type="m.room.topic", state_key="", content={"topic": "x"})

    assert json.loads(client_event(event))["state_key"] == ""
    assert json.loads(stripped_state_event(event)) == {
        "content": {"topic": "x"},
        "sender": "@alice:example.org",
        "state_key": "",
        "type": "m.room.topic",
    }


@pytest.mark.parametrize("rules", ALL_RULES, ids=repr)
def test_clients_find_the_target_of_a_redaction_in_both_places(rules):
    event = build(rules, type="m.room.redaction", content={"reason": "spam"}, redacts=EARLIER)
    shown = json.loads(client_event(event))

    assert shown["redacts"] == EARLIER
    assert shown["content"] == {"reason": "spam", "redacts": EARLIER}


@pytest.mark.parametrize("rules", ALL_RULES, ids=repr)
def test_a_redacted_copy_keeps_its_id_and_loses_its_content(rules):
    event = build(rules)
    redaction = build(rules, type="m.room.redaction", content={}, redacts=event.event_id)
    redacted = event.redacted_by(redaction)

    assert redacted.event_id == event.event_id == event_id_of(redacted.pdu, rules)
    assert redacted.content == {}
    assert redacted.room_id == event.room_id
    assert redacted.redacted_because is redaction
    assert event.content == {"msgtype": "m.text", "body": "hellö"}
    assert redacted.redacted_by(redaction).canonical == redacted.canonical
    assert Event.parse(redacted.canonical, rules).event_id == event.event_id
    assert json.loads(client_event(redacted))["content"] == {}


def test_a_redacted_create_event_of_version_12_still_knows_its_room():
    create = build(
        type="m.room.create", state_key="", content={"room_version": "12"}, room_id=None, prev_events=[]
    )
    redaction = build(room_id=create.room_id, type="m.room.redaction", content={}, redacts=create.event_id)

    assert create.redacted_by(redaction).room_id == create.room_id


def test_unsigned_holds_only_what_there_is():
    topic = build(type="m.room.topic", state_key="", content={"topic": "old"})
    redaction = build(type="m.room.redaction", content={}, redacts=topic.event_id)

    assert unsigned_json() is None
    assert json.loads(unsigned_json(age_ms=0)) == {"age": 0}
    assert json.loads(unsigned_json(own=told_to_sender("t"), membership="join")) == {
        "transaction_id": "t",
        "membership": "join",
    }
    assert json.loads(unsigned_json(replaces_state=topic.event_id, replaced=topic)) == {
        "prev_content": {"topic": "old"},
        "prev_sender": "@alice:example.org",
        "replaces_state": topic.event_id,
    }
    for extra in ({}, {"age_ms": 3}):
        shown = json.loads(unsigned_json(redacted_because=redaction, **extra))
        assert shown.pop("redacted_because")["event_id"] == redaction.event_id
        assert shown == ({"age": 3} if extra else {})


@pytest.mark.parametrize("rules", ALL_RULES, ids=repr)
@pytest.mark.parametrize(
    "data", [b"{}", b"[]", b"null", b"1", b"{", b'{"type":"a","sender":"b","event_id":"$a:b","content":null}']
)
def test_what_is_no_event_is_a_value_error(rules, data):
    with pytest.raises(ValueError, match=r"."):
        Event.parse(data, rules)


def test_an_old_event_with_large_numbers_can_be_read_and_shown():
    rules = ROOM_VERSIONS["5"]
    pdu = {**build(rules).pdu, "content": {"large": 2**70, "float": 1.5}}
    event = Event.from_pdu(pdu, rules)

    assert Event.parse(event.canonical, rules).content == {"large": 2**70, "float": 1.5}
    assert f'"large":{2**70}'.encode() in client_event(event)
    with pytest.raises(ValueError, match=r"."):
        Event.from_pdu({**pdu, "content": {"large": 2**70}}, ROOM_VERSIONS["6"])


def test_of_a_stored_event_only_what_counts_is_shown_whatever_else_its_pdu_says():
    pdu = {**build().pdu, "event_id": 5, "state_key": None, "msc4354_sticky": [1], "other": {"a": [1.5]}}
    event = Event.stored(orjson.dumps(pdu), ALL_RULES[-1], EARLIER)

    assert event.state_key is None
    assert event.sticky == [1]
    assert event.pdu == pdu
    assert json.loads(client_event(event)) == {
        "content": {"msgtype": "m.text", "body": "hellö"},
        "event_id": EARLIER,
        "msc4354_sticky": [1],
        "origin_server_ts": 1_732_000_000_000,
        "room_id": "!room:example.org",
        "sender": "@alice:example.org",
        "type": "m.room.message",
    }


@pytest.mark.parametrize("rules", ALL_RULES, ids=repr)
def test_a_stored_event_of_another_form_is_read_as_it_is(rules):
    event = Event.stored(orjson.dumps({**build(rules).pdu, "room_id": 5}), rules, EARLIER)

    assert (event.room_id, event.event_id, event.depth) == (5, EARLIER, 7)
    for wrong in (b"{", b"[]", b"{}"):
        with pytest.raises(ValueError, match=r"."):
            Event.stored(wrong, rules, EARLIER)
