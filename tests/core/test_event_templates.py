"""Events that one server sketches and another signs, and what is told of rooms to those who may come in."""

import pytest

from homeserver.core.canonical_json import encode_canonical
from homeserver.core.errors import BadJson
from homeserver.core.event.builder import build_event, complete_template, countersigned, template_of
from homeserver.core.event.stripped import ENTRIES_MAX, stripped_entries, told_pdus
from homeserver.core.pdu_form import check_format, with_valid_hash
from homeserver.core.redaction import redact
from homeserver.core.room_versions import ROOM_VERSIONS, rules_for
from homeserver.core.signing import event_id_of, verify_json
from tests.factory.room_timeline import signing_key_of

ROOM, USER = "!r:there.example", "@hal:here.example"


def sketched(rules, **other):
    return build_event(**{
        "rules": rules, "type": "m.room.member", "sender": USER, "content": {"membership": "join"},
        "room_id": ROOM, "prev_events": [], "auth_events": [], "depth": 7, "origin_server_ts": 1,
        "server_name": "there.example", "signing_key": signing_key_of("there.example"), "state_key": USER,
        **other,
    })  # fmt: skip


def completed(template, rules, **content):
    return complete_template(
        template, rules=rules, room_id=ROOM, user_id=USER, content={"membership": "join", **content},
        origin_server_ts=2, server_name="here.example", signing_key=signing_key_of("here.example"),
    )  # fmt: skip


def is_signed(pdu, rules, server_name):
    key = signing_key_of(server_name)
    return verify_json(redact(pdu, rules), server_name, key.key_id, key.public_key)


@pytest.mark.parametrize("version", ROOM_VERSIONS)
def test_a_sketch_is_completed_by_who_signs_it(version):
    rules = rules_for(version)
    template = template_of(sketched(rules))
    assert not template.keys() & {"event_id", "hashes", "origin", "signatures"}
    event = completed(template, rules, displayname="Hal")

    assert check_format(event.pdu, rules) is None
    assert with_valid_hash(event.pdu, rules) is event.pdu
    assert event_id_of(event.pdu, rules) == event.event_id
    assert (event.depth, event.origin_server_ts, event.content["displayname"]) == (7, 2, "Hal")
    assert is_signed(event.pdu, rules, "here.example")


def test_nothing_of_a_sketch_but_its_place_is_taken():
    rules = rules_for("12")
    template = template_of(sketched(rules)) | {"content": {"membership": "ban"}, "redacts": "$x", "extra": 1}
    event = completed(template, rules)

    assert event.content == {"membership": "join"}
    assert not event.pdu.keys() & {"redacts", "extra"}


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": "7"}, {"depth": -1}, {"prev_events": None}, {"prev_events": ["$x"] * 21},
        {"auth_events": [1]},
    ],
)  # fmt: skip
def test_a_sketch_without_a_place_is_not_completed(changes):
    rules = rules_for("12")

    with pytest.raises(ValueError, match="event"):
        completed({**template_of(sketched(rules)), **changes}, rules)


def test_content_without_canonical_json_is_not_signed():
    rules = rules_for("12")

    with pytest.raises(BadJson):
        completed(template_of(sketched(rules)), rules, level=0.5)


@pytest.mark.parametrize("version", ["1", "6", "12"])
def test_a_second_signature_stands_beside_the_first(version):
    rules = rules_for(version)
    event = sketched(rules)
    twice = countersigned(event.pdu, rules, "here.example", signing_key_of("here.example"))

    assert is_signed(twice, rules, "there.example")
    assert is_signed(twice, rules, "here.example")
    assert event_id_of(twice, rules) == event.event_id
    assert "here.example" not in event.pdu["signatures"]


def test_of_what_is_told_only_stripped_state_is_left():
    whole = sketched(rules_for("12")).pdu
    name = {"type": "m.room.name", "state_key": "", "sender": USER, "content": {"name": "x"}}
    told = [whole, name, {**name, "content": 1}, {**name, "state_key": None}, {}, "x", None]

    assert stripped_entries(told) == [
        {"type": "m.room.member", "state_key": USER, "sender": USER, "content": {"membership": "join"}}, name,
    ]  # fmt: skip
    assert stripped_entries("x") == stripped_entries(None) == []
    assert len(stripped_entries([name] * (ENTRIES_MAX + 5))) == ENTRIES_MAX


def test_other_servers_are_told_whole_events():
    rules = rules_for("12")
    create = sketched(rules, type="m.room.create", state_key="")
    member, other = sketched(rules), sketched(rules, type="m.room.name", state_key="other")
    state = {(one.type, one.state_key): one for one in (member, create, other)}

    assert told_pdus(state) == [create.pdu]
    assert told_pdus(state, USER) == [create.pdu, member.pdu]
    assert encode_canonical(told_pdus(state)[0]) == create.canonical
