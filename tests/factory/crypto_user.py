"""Devices and users with real signing keys, as clients make them."""

import base64
import itertools

from nacl.signing import SigningKey

from homeserver.core.canonical_json import encode_canonical

ALGORITHMS = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]
_seeds = itertools.count(1)


def encode(data):
    return base64.b64encode(data).decode().rstrip("=")


class Key:
    """An Ed25519 key with the name by which it signs."""

    def __init__(self, user_id, name=None):
        self.user_id = user_id
        self._key = SigningKey(next(_seeds).to_bytes(32, "big"))
        self.public = encode(bytes(self._key.verify_key))
        self.name = name or self.public

    @property
    def key_id(self):
        return f"ed25519:{self.name}"

    def sign(self, value):
        """Return a copy with a signature more."""
        bare = {name: each for name, each in value.items() if name not in ("signatures", "unsigned")}
        signature = encode(self._key.sign(encode_canonical(bare)).signature)
        signatures = {user_id: dict(each) for user_id, each in value.get("signatures", {}).items()}
        signatures.setdefault(self.user_id, {})[self.key_id] = signature
        return {**value, "signatures": signatures}


class Device(Key):
    """A device with its identity keys and any number of one-time keys."""

    def __init__(self, user_id, device_id):
        super().__init__(user_id, device_id)
        self.device_id = device_id
        self.curve = encode(next(_seeds).to_bytes(32, "big"))

    def keys(self, **changes):
        """Its identity keys, signed."""
        return self.sign({
            "user_id": self.user_id, "device_id": self.device_id, "algorithms": ALGORITHMS,
            "keys": {self.key_id: self.public, f"curve25519:{self.device_id}": self.curve}, **changes,
        })  # fmt: skip

    def one_time_keys(self, *names, **properties):
        """One-time keys of these names."""
        return {
            f"signed_curve25519:{name}": self.sign({"key": encode(name.encode().ljust(32)), **properties})
            for name in names
        }


class CrossSigner:
    """A user's three keys."""

    def __init__(self, user_id):
        self.user_id = user_id
        self.master, self.self_signing, self.user_signing = Key(user_id), Key(user_id), Key(user_id)

    def object(self, usage, key):
        return {"user_id": self.user_id, "usage": [usage], "keys": {key.key_id: key.public}}

    def body(self):
        """What is uploaded."""
        return {
            "master_key": self.object("master", self.master),
            "self_signing_key": self.master.sign(self.object("self_signing", self.self_signing)),
            "user_signing_key": self.master.sign(self.object("user_signing", self.user_signing)),
        }
