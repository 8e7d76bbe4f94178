"""Signatures and hashes of JSON objects and events.

Spec: https://spec.matrix.org/v1.19/appendices/#signing-json and
https://spec.matrix.org/v1.19/server-server-api/#signing-events
"""

import base64
import binascii
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from nacl.bindings import (
    crypto_sign,
    crypto_sign_BYTES,
    crypto_sign_open,
    crypto_sign_PUBLICKEYBYTES,
    crypto_sign_seed_keypair,
    crypto_sign_SEEDBYTES,
)
from nacl.exceptions import CryptoError

from homeserver.core.canonical_json import encode_canonical, encode_lenient
from homeserver.core.redaction import redact
from homeserver.core.room_versions import EventIdFormat, RoomVersionRules

__all__ = [
    "SigningKey", "content_hash", "decode_base64", "encode_base64", "encode_for_rules", "event_id_of",
    "hash_text", "reference_hash", "sign_json", "signed_bytes_of", "verify_bytes", "verify_json", "without",
]  # fmt: skip

_NOT_SIGNED = frozenset(("signatures", "unsigned"))
_NOT_IN_CONTENT_HASH = frozenset(("hashes", "signatures", "unsigned"))
_KEY_VERSION = re.compile(r"[a-zA-Z0-9_]{1,128}")


def encode_base64(data: bytes) -> str:
    """Encode as unpadded base64."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").decode("ascii")


def decode_base64(text: str) -> bytes:
    """Decode base64, padded or not, in the normal or the URL-safe alphabet.

    Raises:
        ValueError: not base64.
    """
    try:
        data = text.encode("ascii").rstrip(b"=")
        return base64.b64decode(data.translate(_FROM_URL_SAFE) + b"=" * (-len(data) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("The text is not base64.") from error


_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class SigningKey:
    """An Ed25519 key with the version it is published under.

    Attributes:
        version: e.g. `a_AbCd`.
        key_id: e.g. `ed25519:a_AbCd`.
        public_key: 32 bytes.
        public_key_base64: the same, unpadded, as it is published.
    """

    __slots__ = ("_secret", "key_id", "public_key", "public_key_base64", "version")

    def __init__(self, seed: bytes, version: str) -> None:
        if len(seed) != crypto_sign_SEEDBYTES:
            raise ValueError(f"A signing key has a seed of {crypto_sign_SEEDBYTES} bytes, not {len(seed)}.")
        if not _KEY_VERSION.fullmatch(version):
            raise ValueError(f"The key version {version!r} has characters other than letters, digits, '_'.")
        self.version = version
        self.key_id = f"ed25519:{version}"
        self.public_key, self._secret = crypto_sign_seed_keypair(seed)
        self.public_key_base64 = encode_base64(self.public_key)

    @classmethod
    def generate(cls, random_bytes: bytes, version: str) -> "SigningKey":
        """Make a key from 32 random bytes, which core has no source of."""
        return cls(random_bytes, version)

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read `ed25519 a_AbCd <seed in base64>`, the form that Synapse keeps its keys in too.

        Raises:
            ValueError: anything else.
        """
        parts = text.split()
        if len(parts) != 3 or parts[0] != "ed25519":
            raise ValueError("A signing key is written as: ed25519 VERSION SEED-IN-BASE64.")
        return cls(decode_base64(parts[2]), parts[1])

    def serialize(self) -> str:
        """Write the key, secret included, so that `parse` reads it."""
        return f"ed25519 {self.version} {encode_base64(self._secret[:crypto_sign_SEEDBYTES])}"

    def sign(self, message: bytes) -> str:
        """Sign; the signature is in unpadded base64."""
        signature = crypto_sign(message, self._secret)[:crypto_sign_BYTES]
        return binascii.b2a_base64(signature, newline=False)[:-2].decode("ascii")  # 64 bytes end in ==

    def __repr__(self) -> str:
        return f"<SigningKey {self.key_id}>"  # never the seed


def without(value: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """Copy an object without some keys."""
    return {key: item for key, item in value.items() if key not in keys}


def sign_json(value: Mapping[str, Any], server_name: str, key: SigningKey) -> dict[str, Any]:
    """Return a copy with the signature added to `signatures`; signatures of others and `unsigned` stay.

    Raises:
        ValueError: the object has no canonical JSON.
    """
    signature = key.sign(encode_lenient(without(value, _NOT_SIGNED)))
    signatures = dict(value.get("signatures") or {})
    signatures[server_name] = {**signatures.get(server_name, {}), key.key_id: signature}
    return {**value, "signatures": signatures}


def verify_json(value: Mapping[str, Any], server_name: str, key_id: str, public_key: bytes) -> bool:
    """Say whether the object carries a valid signature of that server with that key."""
    signatures = value.get("signatures")
    of_server = signatures.get(server_name) if isinstance(signatures, dict) else None
    text = of_server.get(key_id) if isinstance(of_server, dict) else None
    if not isinstance(text, str):
        return False
    try:
        signature = decode_base64(text)
        message = encode_lenient(without(value, _NOT_SIGNED))
    except ValueError:
        return False
    return verify_bytes(message, signature, public_key)


def verify_bytes(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Say whether a signature of these bytes was made with that key."""
    if len(signature) != crypto_sign_BYTES or len(public_key) != crypto_sign_PUBLICKEYBYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except (CryptoError, ValueError):
        return False
    return True


def signed_bytes_of(pdu: Mapping[str, Any], rules: RoomVersionRules) -> bytes:
    """What the signatures of a PDU cover: what a redaction would leave of it, in canonical JSON.

    Raises:
        ValueError: it has no canonical JSON.
    """
    return encode_for_rules(without(redact(pdu, rules), _NOT_SIGNED), rules)


def encode_for_rules(value: Mapping[str, Any], rules: RoomVersionRules) -> bytes:
    """Encode as canonical JSON, as strictly as the room version does.

    Raises:
        ValueError: the object has no canonical JSON.
    """
    return encode_canonical(value) if rules.strict_canonical_json else encode_lenient(value)


def content_hash(pdu: Mapping[str, Any], rules: RoomVersionRules | None = None) -> str:
    """Hash all of a PDU, for its `hashes`."""
    value = without(pdu, _NOT_IN_CONTENT_HASH)
    data = encode_lenient(value) if rules is None else encode_for_rules(value, rules)
    return encode_base64(sha256(data).digest())


def reference_hash(pdu: Mapping[str, Any], rules: RoomVersionRules) -> str:
    """Hash what a redaction would leave of a PDU; in the alphabet that event IDs of the room version use."""
    return hash_text(signed_bytes_of(pdu, rules), rules)


def hash_text(redacted: bytes, rules: RoomVersionRules) -> str:
    """Write the SHA-256 of a redacted PDU in the alphabet that event IDs of the room version use."""
    text = binascii.b2a_base64(sha256(redacted).digest(), newline=False)[:-1]  # 32 bytes end in =
    if rules.event_id_format is EventIdFormat.URL_SAFE_BASE64:
        text = text.translate(_TO_URL_SAFE)
    return text.decode("ascii")


_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def event_id_of(pdu: Mapping[str, Any], rules: RoomVersionRules) -> str:
    """Name a PDU: its own `event_id` in room versions 1 and 2, its reference hash after that.

    Raises:
        ValueError: it has no name, or no canonical JSON.
    """
    if rules.event_id_format is not EventIdFormat.DOMAIN:
        return "$" + reference_hash(pdu, rules)
    event_id = pdu.get("event_id")
    if not isinstance(event_id, str):
        raise ValueError("The event has no event_id.")  # noqa: TRY004 - whoever sent it gets it wrong, not we
    return event_id
