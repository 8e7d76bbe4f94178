"""The public keys that clients upload: what must be right about them, and how they are signed.

Spec: https://spec.matrix.org/v1.19/client-server-api/#key-distribution and
https://spec.matrix.org/v1.19/client-server-api/#cross-signing
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from homeserver.core.canonical_json import encode_lenient
from homeserver.core.errors import BadJson, InvalidParam, InvalidSignature, TooLarge
from homeserver.core.signing import decode_base64, verify_json, without

__all__ = [
    "MASTER", "SELF_SIGNING", "USER_SIGNING", "check_name", "cross_signing_key", "device_keys",
    "is_signed_by", "named_keys", "same_but_signatures",
]  # fmt: skip

MASTER = "master"
SELF_SIGNING = "self_signing"
USER_SIGNING = "user_signing"

NAME_CHARACTERS_MAX = 255
IDENTITY_KEYS_BYTES_MAX = 65_536
KEY_BYTES_MAX = 8_192
KEYS_PER_REQUEST_MAX = 1_000
_ED25519 = "ed25519:"
_ED25519_BYTES = 32
_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")
_UNSIGNED = frozenset(("unsigned",))
_NOT_COMPARED = frozenset(("signatures", "unsigned"))


def check_name(text: str, what: str) -> None:
    """Refuse what cannot be the name of an algorithm, a key, a device or a user.

    Raises:
        InvalidParam: it is empty, too long, or has characters that cannot be stored.
    """
    if not 0 < len(text) <= NAME_CHARACTERS_MAX:
        raise InvalidParam(f"{what} must have 1 to {NAME_CHARACTERS_MAX} characters.")
    if _NOT_STORABLE.search(text):
        raise InvalidParam(f"{what} must not hold NUL characters or halves of surrogate pairs.")


def device_keys(value: Mapping[str, Any], user_id: str, device_id: str) -> bytes:
    """Encode the identity keys that a device uploads, without their `unsigned`.

    Others refuse keys that the device has not signed, so they are not taken: it would seem to be there, and
    nobody would encrypt to it.

    Raises:
        BadJson: a property is missing or has the wrong type.
        InvalidParam: they are of another user or device.
        InvalidSignature: the device's Ed25519 key is not among them, or has not signed them.
        TooLarge: they are.
    """
    for name, owner in (("user_id", user_id), ("device_id", device_id)):
        if value.get(name) != owner:
            raise InvalidParam(f"device_keys.{name} must be that of the device that uploads: {owner}.")
    algorithms = value.get("algorithms")
    if not isinstance(algorithms, list) or not all(isinstance(each, str) for each in algorithms):
        raise BadJson("device_keys.algorithms must be a list of names of algorithms.")
    _check_texts(value.get("keys"), "device_keys.keys")
    _check_signatures(value, "device_keys")
    encoded = _encoded(without(value, _UNSIGNED), "device_keys", IDENTITY_KEYS_BYTES_MAX)
    if not is_signed_by(value, user_id, device_id, value["keys"].get(_ED25519 + device_id, "")):
        raise InvalidSignature(f"device_keys must be signed by the key ed25519:{device_id} among them.")
    return encoded


def named_keys(value: Mapping[str, Any], what: str) -> dict[tuple[str, str], bytes]:
    """Encode one-time or fallback keys, by algorithm and key ID.

    Raises:
        BadJson: one is neither a string nor a signed object with a key.
        InvalidParam: one is not named `algorithm:key ID`, or they are too many.
        TooLarge: one is.
    """
    if len(value) > KEYS_PER_REQUEST_MAX:
        raise InvalidParam(f"{what}: at most {KEYS_PER_REQUEST_MAX} keys can be uploaded in one request.")
    found = {}
    for name, key in value.items():
        algorithm, _, key_id = name.partition(":")
        check_name(algorithm, f"{what}: the algorithm of a key")
        check_name(key_id, f"{what}: what follows the colon in the name of a key")
        if isinstance(key, str):
            found[algorithm, key_id] = _bounded(orjson.dumps(key), what, KEY_BYTES_MAX)
            continue
        if not isinstance(key, dict) or not isinstance(key.get("key"), str):
            raise BadJson(f"{what}: a key must be a string, or an object with the string key.")
        _check_signatures(key, what)
        found[algorithm, key_id] = _encoded(key, what, KEY_BYTES_MAX)
    return found


def cross_signing_key(value: Mapping[str, Any], user_id: str, usage: str) -> tuple[str, bytes]:
    """Tell the public key of a cross-signing key in base64, and encode the whole without its `unsigned`.

    Raises:
        BadJson: a property is missing or has the wrong type.
        InvalidParam: it is another user's, for another use, or no Ed25519 key named by itself.
        TooLarge: it is.
    """
    what = f"{usage}_key"
    if value.get("user_id") != user_id:
        raise InvalidParam(f"{what}.user_id must be that of the user who uploads: {user_id}.")
    usages = value.get("usage")
    if not isinstance(usages, list) or usage not in usages:
        raise InvalidParam(f"{what}.usage must be a list with {usage} in it.")
    keys = value.get("keys")
    _check_texts(keys, f"{what}.keys")
    if not isinstance(keys, dict) or len(keys) != 1:
        raise InvalidParam(f"{what}.keys must have exactly one key.")
    ((key_id, public_key),) = keys.items()
    if key_id != _ED25519 + public_key or not _is_ed25519(public_key):
        raise InvalidParam(f"{what}.keys must name an Ed25519 key, in unpadded base64, by itself.")
    if "signatures" in value:
        _check_signatures(value, what)
    return public_key, _encoded(without(value, _UNSIGNED), what, IDENTITY_KEYS_BYTES_MAX)


def is_signed_by(value: Mapping[str, Any], signer_id: str, key_name: str, public_key: str) -> bool:
    """Whether an object carries a valid signature of a user with an Ed25519 key.

    Args:
        value: the object with its `signatures`.
        signer_id: user ID.
        key_name: what follows `ed25519:` in the key's ID.
        public_key: the key itself in base64.
    """
    try:
        return verify_json(value, signer_id, _ED25519 + key_name, decode_base64(public_key))
    except ValueError:
        return False


def same_but_signatures(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two objects are the same, what is signed of them."""
    return without(one, _NOT_COMPARED) == without(other, _NOT_COMPARED)


def _is_ed25519(public_key: str) -> bool:
    try:
        return len(decode_base64(public_key)) == _ED25519_BYTES and not public_key.endswith("=")
    except ValueError:
        return False


def _check_texts(value: object, what: str) -> None:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise BadJson(f"{what} must be an object of strings.")


def _check_signatures(value: Mapping[str, Any], what: str) -> None:
    signatures = value.get("signatures")
    if not isinstance(signatures, dict):
        raise BadJson(f"{what}: signatures must be an object.")
    for of_user in signatures.values():
        _check_texts(of_user, f"{what}: signatures of each user")


def _encoded(value: Mapping[str, Any], what: str, bytes_max: int) -> bytes:
    try:
        return _bounded(encode_lenient(value), what, bytes_max)
    except ValueError:
        raise BadJson(
            f"{what} has no canonical JSON, so that nobody could check a signature of it."
        ) from None


def _bounded(encoded: bytes, what: str, bytes_max: int) -> bytes:
    if len(encoded) > bytes_max:
        raise TooLarge(f"{what}: a key must not be larger than {bytes_max} bytes.")
    return encoded
