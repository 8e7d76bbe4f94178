"""Signatures and hashes, with the vectors of https://spec.matrix.org/v1.19/appendices/#cryptographic-test-vectors."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.core.redaction import redact
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.core.signing import (
    SigningKey,
    content_hash,
    decode_base64,
    encode_base64,
    event_id_of,
    reference_hash,
    sign_json,
    verify_json,
)

KEY = SigningKey(decode_base64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"), "1")
V1 = ROOM_VERSIONS["1"]

MINIMAL_EVENT = {
    "room_id": "!x:domain",
    "sender": "@a:domain",
    "origin": "domain",
    "origin_server_ts": 1000000,
    "signatures": {},
    "hashes": {},
    "type": "X",
    "content": {},
    "prev_events": [],
    "auth_events": [],
    "depth": 3,
    "unsigned": {"age_ts": 1000000},
}
REDACTABLE_EVENT = {
    "content": {"body": "Here is the message content"},
    "event_id": "$0:domain",
    "origin": "domain",
    "origin_server_ts": 1000000,
    "type": "m.room.message",
    "room_id": "!r:domain",
    "sender": "@u:domain",
    "signatures": {},
    "unsigned": {"age_ts": 1000000},
}


@pytest.mark.parametrize(
    ("value", "signature"),
    [
        ({}, "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            {"one": 1, "two": "Two"},
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ],
)
def test_json_is_signed_as_in_the_spec(value, signature):
    signed = sign_json(value, "domain", KEY)

    assert signed == {**value, "signatures": {"domain": {"ed25519:1": signature}}}
    assert verify_json(signed, "domain", "ed25519:1", KEY.public_key)


@pytest.mark.parametrize(
    ("event", "sha256", "signature"),
    [
        (
            MINIMAL_EVENT,
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            REDACTABLE_EVENT,
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ],
)
def test_events_are_hashed_and_signed_as_in_the_spec(event, sha256, signature):
    assert content_hash(event) == content_hash(event, V1) == sha256

    signed = sign_json(redact({**event, "hashes": {"sha256": sha256}}, V1), "domain", KEY)

    assert signed["signatures"]["domain"]["ed25519:1"] == signature


def test_a_signature_is_added_to_those_of_others():
    other = SigningKey(bytes(32), "other")
    signed = sign_json(sign_json({"a": 1, "unsigned": {"age": 1}}, "domain", KEY), "domain", other)
    signed = sign_json(signed, "example.org", other)

    assert signed["unsigned"] == {"age": 1}
    assert set(signed["signatures"]) == {"domain", "example.org"}
    assert verify_json(signed, "domain", "ed25519:1", KEY.public_key)
    assert verify_json(signed, "domain", "ed25519:other", other.public_key)
    assert verify_json({**signed, "unsigned": {}}, "example.org", "ed25519:other", other.public_key)
    assert not verify_json(signed, "domain", "ed25519:1", other.public_key)
    assert not verify_json({**signed, "a": 2}, "domain", "ed25519:1", KEY.public_key)


@pytest.mark.parametrize(
    "signatures",
    [
        None,
        [],
        {},
        {"domain": None},
        {"domain": {}},
        {"domain": {"ed25519:1": 5}},
        {"domain": {"ed25519:1": "!"}},
        {"domain": {"ed25519:1": "AAAA"}},
        {"domain": {"ed25519:1": "ä"}},
        {"domain": {"ed25519:1": base64.b64encode(bytes(64)).decode()}},
    ],
)
def test_anything_odd_in_place_of_a_signature_is_not_valid(signatures):
    assert not verify_json({"signatures": signatures}, "domain", "ed25519:1", KEY.public_key)


def test_a_public_key_of_the_wrong_size_verifies_nothing():
    signed = sign_json({}, "domain", KEY)

    assert not verify_json(signed, "domain", "ed25519:1", b"short")


def test_a_key_reads_back_what_it_writes_and_hides_its_seed():
    key = SigningKey.parse(KEY.serialize())

    assert key.key_id == KEY.key_id == "ed25519:1"
    assert key.sign(b"x") == KEY.sign(b"x")
    assert key.public_key_base64 == "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"
    assert "YJDB" not in repr(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ed25519 1",
        "rsa 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
        "ed25519 1 YJDB",
        "ed25519 a:b YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
        "ed25519 1 *",
    ],
)
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match=r"\.$"):
        SigningKey.parse(text)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_base64_of_either_alphabet_padded_or_not_reads_back(data):
    text = encode_base64(data)

    assert "=" not in text
    assert decode_base64(text) == data
    assert decode_base64(base64.b64encode(data).decode()) == data
    assert decode_base64(base64.urlsafe_b64encode(data).decode()) == data


def test_a_reference_hash_covers_what_a_redaction_leaves():
    for rules in ROOM_VERSIONS.values():
        whole = {**REDACTABLE_EVENT, "hashes": {"sha256": "x"}}
        expected = reference_hash(whole, rules)

        assert reference_hash(redact(whole, rules), rules) == expected
        pruned = {**whole, "content": {}, "unsigned": {}, "signatures": {"a": {}}}
        assert reference_hash(pruned, rules) == expected
        assert reference_hash({**whole, "sender": "@other:domain"}, rules) != expected


def test_event_ids_have_the_form_of_their_room_version():
    event = {**REDACTABLE_EVENT, "origin_server_ts": 7}
    ids = {version: event_id_of(event, rules) for version, rules in ROOM_VERSIONS.items()}

    assert ids["1"] == ids["2"] == "$0:domain"
    assert len(ids["3"]) == len(ids["4"]) == len(ids["12"]) == 44
    assert ids["4"] == ids["3"].replace("+", "-").replace("/", "_")
    with pytest.raises(ValueError, match="event_id"):
        event_id_of({}, V1)
