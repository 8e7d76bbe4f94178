"""The signing keys that servers publish: written, read, and for how long they hold.

Spec: https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from homeserver.core.signing import SigningKey, decode_base64, encode_base64, sign_json, verify_json

__all__ = ["KEYS_PER_SERVER_MAX", "VALIDITY_MS_MAX", "OwnKeys", "VerifyKey", "merged", "parse_keys"]

VALIDITY_MS_MAX = 7 * 86_400_000
"""What a server says of the validity of its keys counts for no longer than this."""

KEYS_PER_SERVER_MAX = 100
"""More are not read of what a server publishes, nor kept."""

SIGNATURES_MAX = 5
"""No more are tried, of which one must be valid."""

_KEY_ID = re.compile(r"ed25519:[a-zA-Z0-9_.-]{1,128}")
_PUBLIC_KEY_BYTES = 32
_TIMESTAMP_MAX = 2**53 - 1


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A key with which signatures of a server are verified.

    Attributes:
        public_key: 32 bytes.
        valid_until_ms: what was signed later is not valid.
        is_old: the server signs no more with it, so no request is signed with it.
    """

    public_key: bytes
    valid_until_ms: int
    is_old: bool = False


def parse_keys(value: Any, server_name: str, now_ms: int) -> dict[str, VerifyKey]:
    """Read the keys that a server publishes, by key ID; at least one is there, and has signed them all.

    Args:
        value: what was answered, by the server or by another that knows it.
        server_name: whose keys they are to be.
        now_ms: from when on the answer holds.

    Raises:
        ValueError: it is not that; says why.
    """
    if not isinstance(value, dict) or value.get("server_name") != server_name:
        raise ValueError(f"These are no keys of {server_name}.")
    valid_until = value.get("valid_until_ts")
    if not _is_timestamp(valid_until):
        raise ValueError("The keys have no valid_until_ts.")
    valid_until_ms = min(valid_until, now_ms + VALIDITY_MS_MAX)
    keys: dict[str, VerifyKey] = {}
    for key_id, entry in _entries(value, "verify_keys"):
        keys[key_id] = VerifyKey(_public_key(entry), valid_until_ms)
    if not _is_signed(value, server_name, keys):
        raise ValueError(f"The keys are not signed by {server_name} with one of them.")
    for key_id, entry in _entries(value, "old_verify_keys"):
        expired_ms = entry.get("expired_ts")
        if key_id not in keys and _is_timestamp(expired_ms):
            keys[key_id] = VerifyKey(_public_key(entry), min(expired_ms, valid_until_ms), is_old=True)
    return keys


def _is_signed(value: Mapping[str, Any], server_name: str, keys: Mapping[str, VerifyKey]) -> bool:
    signatures = value.get("signatures")
    of_server = signatures.get(server_name) if isinstance(signatures, dict) else None
    signers = [key_id for key_id in keys if isinstance(of_server, dict) and key_id in of_server]
    attempts = signers[:SIGNATURES_MAX]
    return any(verify_json(value, server_name, key_id, keys[key_id].public_key) for key_id in attempts)


def _entries(value: Mapping[str, Any], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Those entries that can be of use: keys of other algorithms are no mistake."""
    entries = value.get(name, {})
    if not isinstance(entries, dict) or len(entries) > KEYS_PER_SERVER_MAX:
        raise ValueError(f"{name} is no object of at most {KEYS_PER_SERVER_MAX} keys.")
    return [(key, one) for key, one in entries.items() if _KEY_ID.fullmatch(key) and isinstance(one, dict)]


def _public_key(entry: Mapping[str, Any]) -> bytes:
    text = entry.get("key")
    public_key = decode_base64(text) if isinstance(text, str) else b""
    if len(public_key) != _PUBLIC_KEY_BYTES:
        raise ValueError(f"A key does not have {_PUBLIC_KEY_BYTES} bytes.")
    return public_key


def _is_timestamp(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _TIMESTAMP_MAX


def merged(known: Mapping[str, VerifyKey], fresh: Mapping[str, VerifyKey]) -> dict[str, VerifyKey]:
    """The keys of a server once it has published others: those that it names no more hold as they did.

    Nor does a key hold for a shorter time than was said once, unless the server says when it became old.
    """
    keys = {**known, **fresh}
    for key_id, key in fresh.items():
        before = known.get(key_id, key)
        if before.public_key == key.public_key and not key.is_old:
            keys[key_id] = replace(key, valid_until_ms=max(before.valid_until_ms, key.valid_until_ms))
    if len(keys) > KEYS_PER_SERVER_MAX:
        latest = sorted(keys, key=lambda key_id: (key_id in fresh, keys[key_id].valid_until_ms), reverse=True)
        keys = {key_id: keys[key_id] for key_id in latest[:KEYS_PER_SERVER_MAX]}
    return keys


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """The keys of this server.

    Attributes:
        server_name: its name.
        signing_key: signs at present.
        old_keys: those that did before, by key ID.
    """

    server_name: str
    signing_key: SigningKey
    old_keys: Mapping[str, VerifyKey] = field(default_factory=dict)

    def published(self, valid_until_ms: int) -> dict[str, Any]:
        """What other servers are told, signed."""
        key = self.signing_key
        value = {
            "server_name": self.server_name,
            "valid_until_ts": valid_until_ms,
            "verify_keys": {key.key_id: {"key": key.public_key_base64}},
            "old_verify_keys": {
                key_id: {"key": encode_base64(old.public_key), "expired_ts": old.valid_until_ms}
                for key_id, old in self.old_keys.items()
            },
        }
        return sign_json(value, self.server_name, key)

    def verify_keys(self) -> dict[str, VerifyKey]:
        """The same keys, to verify what this server signed."""
        key = self.signing_key
        return {**self.old_keys, key.key_id: VerifyKey(key.public_key, _TIMESTAMP_MAX)}
