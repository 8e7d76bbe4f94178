import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.server_keys import (
    KEYS_PER_SERVER_MAX,
    SIGNATURES_MAX,
    VALIDITY_MS_MAX,
    OwnKeys,
    VerifyKey,
    merged,
    parse_keys,
)
from homeserver.core.signing import SigningKey, encode_base64, sign_json, verify_json

NOW = 1_700_000_000_000
DAY = 86_400_000
KEY = SigningKey.generate(b"1" * 32, "a_1")
OLD = SigningKey.generate(b"2" * 32, "a_0")
OWN = OwnKeys("a.example", KEY, {OLD.key_id: VerifyKey(OLD.public_key, NOW - DAY, is_old=True)})


def signed(**changes):
    value = OWN.published(NOW + DAY) | changes
    del value["signatures"]
    return sign_json({key: one for key, one in value.items() if one is not ...}, "a.example", KEY)


def test_what_is_published_is_read_again():
    keys = parse_keys(OWN.published(NOW + DAY), "a.example", NOW)

    assert keys == {
        "ed25519:a_1": VerifyKey(KEY.public_key, NOW + DAY),
        "ed25519:a_0": VerifyKey(OLD.public_key, NOW - DAY, is_old=True),
    }


def test_what_is_published_has_the_form_of_the_specification():
    value = OWN.published(NOW)

    assert value["verify_keys"] == {"ed25519:a_1": {"key": KEY.public_key_base64}}
    assert value["old_verify_keys"] == {
        "ed25519:a_0": {"key": OLD.public_key_base64, "expired_ts": NOW - DAY}
    }
    assert (value["server_name"], value["valid_until_ts"]) == ("a.example", NOW)
    assert verify_json(value, "a.example", "ed25519:a_1", KEY.public_key)


def test_our_own_keys_verify_what_we_signed_at_any_time():
    keys = OWN.verify_keys()

    assert keys["ed25519:a_1"].valid_until_ms > NOW * 100
    assert keys["ed25519:a_0"].valid_until_ms == NOW - DAY


def test_no_key_is_believed_for_longer_than_a_week():
    keys = parse_keys(signed(valid_until_ts=NOW + 100 * DAY), "a.example", NOW)

    assert keys["ed25519:a_1"].valid_until_ms == NOW + VALIDITY_MS_MAX


def test_keys_of_other_algorithms_are_passed_over():
    mixed = signed().get("verify_keys") | {"curve25519:1": {"key": "x"}, "ed25519:not an id": {"key": "x"}}

    assert set(parse_keys(signed(verify_keys=mixed), "a.example", NOW)) == {"ed25519:a_1", "ed25519:a_0"}


def test_no_old_keys_are_no_mistake():
    assert set(parse_keys(signed(old_verify_keys=...), "a.example", NOW)) == {"ed25519:a_1"}


MANY = {f"ed25519:{number}": {"key": KEY.public_key_base64} for number in range(KEYS_PER_SERVER_MAX + 1)}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        signed(server_name="b.example"),
        signed(server_name=...),
        signed(valid_until_ts=...),
        signed(valid_until_ts="soon"),
        signed(valid_until_ts=-1),
        signed(valid_until_ts=True),
        signed(valid_until_ts=1.5),
        signed(valid_until_ts=2**60),
        signed(verify_keys=...),
        signed(verify_keys=[]),
        signed(verify_keys={}),
        signed(verify_keys={"ed25519:a_1": {}}),
        signed(verify_keys={"ed25519:a_1": "key"}),
        signed(verify_keys={"ed25519:a_1": {"key": "?"}}),
        signed(verify_keys={"ed25519:a_1": {"key": encode_base64(b"short")}}),
        signed(verify_keys={"ed25519:a_1": {"key": OLD.public_key_base64}}),
        signed(verify_keys={"ed25519:a_0": {"key": OLD.public_key_base64}}),
        signed(verify_keys=MANY),
        signed(old_verify_keys="none"),
        signed() | {"valid_until_ts": NOW},
        signed() | {"signatures": {}},
        signed() | {"signatures": None},
    ],
)
def test_what_is_no_proof_of_keys_is_refused(value):
    with pytest.raises(ValueError, match=r"\w"):
        parse_keys(value, "a.example", NOW)


def test_few_signatures_are_tried():
    keys = {f"ed25519:{number}": {"key": OLD.public_key_base64} for number in range(SIGNATURES_MAX)}
    wrong = {key_id: OLD.sign(b"other") for key_id in keys}
    value = signed(verify_keys=keys | {KEY.key_id: {"key": KEY.public_key_base64}})
    value["signatures"]["a.example"] |= wrong

    with pytest.raises(ValueError, match="not signed"):
        parse_keys(value, "a.example", NOW)
    del value["signatures"]["a.example"]["ed25519:0"]
    assert KEY.key_id in parse_keys(value, "a.example", NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(sorted(signed())), json_values)
def test_garbage_is_refused_or_harmless(name, garbage):
    try:
        keys = parse_keys(signed() | {name: garbage}, "a.example", NOW)
    except ValueError:
        return
    assert "ed25519:a_1" in keys


def test_keys_that_are_published_no_more_hold_as_they_did():
    known = {"ed25519:1": VerifyKey(b"1" * 32, NOW), "ed25519:2": VerifyKey(b"2" * 32, NOW)}
    fresh = {"ed25519:2": VerifyKey(b"2" * 32, NOW - 1), "ed25519:3": VerifyKey(b"3" * 32, NOW)}

    assert merged(known, fresh) == known | {"ed25519:3": fresh["ed25519:3"]}


def test_a_server_says_when_a_key_became_old():
    known = {"ed25519:1": VerifyKey(b"1" * 32, NOW)}
    fresh = {"ed25519:1": VerifyKey(b"1" * 32, NOW - DAY, is_old=True)}

    assert merged(known, fresh) == fresh


def test_another_key_under_the_same_name_replaces_it():
    known = {"ed25519:1": VerifyKey(b"1" * 32, NOW)}
    fresh = {"ed25519:1": VerifyKey(b"2" * 32, NOW - DAY)}

    assert merged(known, fresh) == fresh


def test_the_keys_of_a_server_are_bounded():
    known = {f"ed25519:{number}": VerifyKey(b"1" * 32, NOW + number) for number in range(KEYS_PER_SERVER_MAX)}
    fresh = {"ed25519:new": VerifyKey(b"2" * 32, NOW - DAY)}

    keys = merged(known, fresh)

    assert len(keys) == KEYS_PER_SERVER_MAX
    assert "ed25519:new" in keys
    assert "ed25519:0" not in keys
