"""What must be right about the public keys that clients upload."""

import orjson
import pytest

from homeserver.core.errors import BadJson, InvalidParam, InvalidSignature, TooLarge
from homeserver.core.public_keys import (
    MASTER,
    check_name,
    cross_signing_key,
    device_keys,
    is_signed_by,
    named_keys,
    same_but_signatures,
)
from tests.factory.crypto_user import CrossSigner, Device

ALICE = "@alice:here"


def test_device_keys_are_kept_in_canonical_form_without_what_is_not_signed():
    keys = Device(ALICE, "A").keys(extra=None)

    encoded = device_keys({**keys, "unsigned": {"x": 1}}, ALICE, "A")

    assert orjson.loads(encoded) == keys
    assert encoded == device_keys(dict(reversed(keys.items())), ALICE, "A")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"user_id": "@bob:here"}, InvalidParam),
        ({"device_id": "B"}, InvalidParam),
        ({"device_id": None}, InvalidParam),
        ({"algorithms": [1]}, BadJson),
        ({"algorithms": None}, BadJson),
        ({"keys": []}, BadJson),
        ({"keys": {"ed25519:A": None}}, BadJson),
        ({"signatures": None}, BadJson),
        ({"signatures": {ALICE: []}}, BadJson),
        ({"signatures": {ALICE: {"ed25519:A": 1}}}, BadJson),
        ({"extra": "x" * 70_000}, TooLarge),
        ({"extra": "\ud800"}, BadJson),
    ],
)
def test_device_keys_of_another_form_are_refused(change, error):
    with pytest.raises(error):
        device_keys({**Device(ALICE, "A").keys(), **change}, ALICE, "A")


@pytest.mark.parametrize(
    "changed",
    [
        {"algorithms": ["another"]},
        {"keys": {"ed25519:A": Device(ALICE, "A").public}},
        {"keys": {"curve25519:A": "x"}},
        {"keys": {"ed25519:A": "no base64!"}},
        {"keys": {"ed25519:A": "AAAA"}},
        {"signatures": {}},
        {"signatures": {ALICE: {"ed25519:B": "x"}}},
        {"signatures": {ALICE: {"ed25519:A": "x"}}},
        {"signatures": {"@bob:here": Device(ALICE, "A").keys()["signatures"][ALICE]}},
    ],
)
def test_device_keys_that_the_device_has_not_signed_are_refused(changed):
    with pytest.raises(InvalidSignature):
        device_keys({**Device(ALICE, "A").keys(), **changed}, ALICE, "A")


def test_one_time_keys_are_strings_or_signed_objects_by_algorithm_and_id():
    device = Device(ALICE, "A")
    keys = {**device.one_time_keys("X"), "curve25519:Y:Z": "key"}

    found = named_keys(keys, "one_time_keys")

    assert found.keys() == {("signed_curve25519", "X"), ("curve25519", "Y:Z")}
    assert [orjson.loads(key) for key in found.values()] == list(keys.values())


@pytest.mark.parametrize(
    ("name", "key", "error"),
    [
        ("nocolon", "key", InvalidParam),
        (":X", "key", InvalidParam),
        ("curve25519:", "key", InvalidParam),
        ("curve25519:" + "X" * 256, "key", InvalidParam),
        ("curve25519:\0", "key", InvalidParam),
        ("curve25519:X", 1, BadJson),
        ("curve25519:X", {"key": 1, "signatures": {}}, BadJson),
        ("curve25519:X", {"key": "x"}, BadJson),
        ("curve25519:X", "x" * 9_000, TooLarge),
    ],
)
def test_one_time_keys_of_another_form_are_refused(name, key, error):
    with pytest.raises(error):
        named_keys({name: key}, "one_time_keys")
    with pytest.raises(InvalidParam):
        named_keys({f"a:{number}": "key" for number in range(1_001)}, "one_time_keys")


def test_a_cross_signing_key_is_named_by_itself():
    signer = CrossSigner(ALICE)
    key = signer.body()["master_key"]

    public_key, encoded = cross_signing_key({**key, "unsigned": {}}, ALICE, MASTER)

    assert public_key == signer.master.public
    assert orjson.loads(encoded) == key
    for keys in ({}, {"ed25519:x": "x"}, {f"ed25519:{public_key}=": f"{public_key}="}, {"ed25519:é": "é"}):
        with pytest.raises(InvalidParam):
            cross_signing_key({**key, "keys": keys}, ALICE, MASTER)


def test_a_signature_is_of_one_user_with_one_key_and_not_of_what_is_unsigned():
    device = Device(ALICE, "A")
    keys = device.keys()

    assert is_signed_by({**keys, "unsigned": {}}, ALICE, "A", device.public)
    assert not is_signed_by({**keys, "extra": 1}, ALICE, "A", device.public)
    assert not is_signed_by(keys, "@bob:here", "A", device.public)
    assert not is_signed_by(keys, ALICE, "A", Device(ALICE, "A").public)
    assert not is_signed_by(keys, ALICE, "A", "not base64!")
    assert same_but_signatures({**keys, "signatures": {}, "unsigned": {}}, keys)
    assert not same_but_signatures({**keys, "extra": 1}, keys)


def test_names_are_short_and_can_be_stored():
    check_name("x" * 255, "A name")
    for name in ("", "x" * 256, "\0", "\udc00"):
        with pytest.raises(InvalidParam):
            check_name(name, "A name")
