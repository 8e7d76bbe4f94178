"""The checks on receipt of a PDU that need nothing else."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.core.event.builder import build_event
from homeserver.core.pdu_form import check_format, required_signers, with_valid_hash
from homeserver.core.pdu_verdicts import Dropped
from homeserver.core.redaction import redact
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.core.signing import SigningKey

KEY = SigningKey(bytes(range(32)), "a_1")
ALL_RULES = list(ROOM_VERSIONS.values())
OLDEST, NEWEST = ALL_RULES[0], ALL_RULES[-1]
ABSENT = object()


def pdu_of(rules=NEWEST, **changes):
    event = build_event(
        rules=rules,
        type="m.room.message",
        sender="@alice:example.org",
        content={"body": "hello"},
        room_id="!room:example.org",
        prev_events=["$a:example.org"],
        auth_events=["$b:example.org"],
        depth=7,
        origin_server_ts=1_732_000_000_000,
        server_name="example.org",
        signing_key=KEY,
    )
    pdu = {**copy.deepcopy(event.pdu), **changes}
    return {key: value for key, value in pdu.items() if value is not ABSENT}


@pytest.mark.parametrize("rules", ALL_RULES, ids=repr)
@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("type", [ABSENT, None, 5, "a" * 256]),
        ("sender", [ABSENT, None, "alice", "@alice", "@a:", "@a\0:example.org", ["@alice:example.org"]]),
        ("room_id", [ABSENT, None, 5, "room", "!", "!a:b c"]),
        ("state_key", [None, 5, "a" * 256]),
        ("content", [ABSENT, None, [], "x"]),
        ("hashes", [ABSENT, [], {}, {"sha256": 5}]),
        ("signatures", [ABSENT, [], {"a": 5}, {"a": {"b": 5}}]),
        ("unsigned", [[], None, "x"]),
        ("depth", [ABSENT, None, "7", 7.0, True, -1, 2**63]),
        ("origin_server_ts", [ABSENT, None, "7", 7.5, 2**63]),
        ("prev_events", [ABSENT, None, {}, [5], [None], [[]]]),
        ("auth_events", [ABSENT, "x", [{}], [["$a:b", "x"]]]),
    ],
)
def test_an_event_with_a_malformed_key_is_dropped(rules, key, values):
    assert check_format(pdu_of(rules), rules) is None
    for value in values:
        assert isinstance(check_format(pdu_of(rules, **{key: value}), rules), Dropped), value


@pytest.mark.parametrize("rules", ALL_RULES, ids=repr)
def test_an_event_has_a_bounded_number_of_parents(rules):
    def references(count):
        return [[f"${n}:b", {}] if rules.event_references_are_pairs else f"${n}" for n in range(count)]

    assert check_format(pdu_of(rules, prev_events=references(20), auth_events=references(10)), rules) is None
    assert "20" in check_format(pdu_of(rules, prev_events=references(21)), rules).reason
    assert "10" in check_format(pdu_of(rules, auth_events=references(11)), rules).reason


def test_strict_versions_drop_what_is_not_canonical_and_lenient_ones_do_not():
    for content in ({"a": 1.5}, {"a": 2**60}):
        for rules in ALL_RULES:
            dropped = check_format(pdu_of(rules, content=content), rules)
            assert (dropped is not None) is rules.strict_canonical_json
    for rules in ALL_RULES:
        assert check_format(pdu_of(rules, content={"a": "\ud800"}), rules) is not None
        assert (check_format(pdu_of(rules, depth=2**53), rules) is not None) is rules.strict_canonical_json


def test_an_event_over_64_kib_is_dropped_but_its_unsigned_part_does_not_count():
    assert "65536" in check_format(pdu_of(content={"body": "a" * 65_536}), NEWEST).reason
    assert check_format(pdu_of(unsigned={"a": "a" * 70_000, "b": 1.5}), NEWEST) is None


def test_only_the_create_event_of_version_12_may_lack_a_room_id():
    create = pdu_of(room_id=ABSENT, type="m.room.create", state_key="")

    assert check_format(create, NEWEST) is None
    assert check_format({**create, "state_key": "x"}, NEWEST) is not None
    assert check_format(create, ROOM_VERSIONS["11"]) is not None


def test_the_oldest_versions_need_an_event_id_with_a_server_name():
    assert check_format(pdu_of(OLDEST, event_id=ABSENT), OLDEST) is not None
    assert check_format(pdu_of(OLDEST, event_id="$abc"), OLDEST) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ALL_RULES), st.sampled_from(sorted(pdu_of())), JSON)
def test_garbage_in_place_of_any_key_is_a_verdict_never_an_error(rules, key, value):
    verdict = check_format(pdu_of(rules, **{key: value}), rules)

    assert verdict is None or isinstance(verdict, Dropped)


@given(JSON)
def test_garbage_in_place_of_an_event_is_dropped(value):
    assert isinstance(check_format(value, NEWEST), Dropped)


def test_the_servers_that_must_sign_are_named():
    assert required_signers(pdu_of(), NEWEST) == {"example.org"}
    assert required_signers(pdu_of(OLDEST, event_id="$a:other.org"), OLDEST) == {"example.org", "other.org"}
    joined = {"membership": "join", "join_authorised_via_users_server": "@bob:other.org"}
    member = pdu_of(type="m.room.member", state_key="@alice:example.org", content=joined)
    assert required_signers(member, NEWEST) == {"example.org", "other.org"}
    assert required_signers(member, ROOM_VERSIONS["7"]) == {"example.org"}
    joined["join_authorised_via_users_server"] = "nobody"
    assert required_signers(member, NEWEST) == {"example.org"}
    invite = pdu_of(type="m.room.member", content={"membership": "invite", "third_party_invite": {}})
    assert required_signers(invite, NEWEST) == set()


@pytest.mark.parametrize("rules", ALL_RULES, ids=repr)
def test_an_event_with_a_wrong_content_hash_is_used_redacted(rules):
    pdu = pdu_of(rules)

    assert with_valid_hash(pdu, rules) is pdu
    forged = {**pdu, "content": {"body": "forged"}}
    assert with_valid_hash(forged, rules) == redact(pdu, rules)
    assert with_valid_hash(redact(pdu, rules), rules) == redact(pdu, rules)
    assert with_valid_hash({**pdu, "hashes": {"sha256": "*"}}, rules)["content"] == {}
