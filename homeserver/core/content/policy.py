"""The content of `m.room.policy`: the policy server that a room uses, if it uses one.

Spec: https://spec.matrix.org/v1.19/server-server-api/#determining-if-a-policy-server-is-enabled-in-a-room
"""

from dataclasses import dataclass

from homeserver.core.event.pdu import Event
from homeserver.core.signing import decode_base64

__all__ = ["POLICY_KEY_ID", "PolicyServer", "policy_server_of"]

POLICY_KEY_ID = "ed25519:policy_server"
"""The key ID of every signature of a policy server."""

_PUBLIC_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class PolicyServer:
    """A room's policy server. In force only while a user of that server is joined to the room.

    Attributes:
        server_name: where to ask for its signature.
        public_key: the Ed25519 key that its signatures are checked with, not the one it federates with; None
            if the room names something that is no key: then no signature is right.
    """

    server_name: str
    public_key: bytes | None


def policy_server_of(event: Event | None) -> PolicyServer | None:
    """Read the policy server from an `m.room.policy`; None if the room uses none."""
    if event is None or event.state_key != "":
        return None
    via, public_keys = event.content.get("via"), event.content.get("public_keys")
    text = public_keys.get("ed25519") if isinstance(public_keys, dict) else None
    if not isinstance(via, str) or not isinstance(text, str):
        return None
    return PolicyServer(via, _key(text))


def _key(text: str) -> bytes | None:
    try:
        key = decode_base64(text)
    except ValueError:
        return None
    return key if len(key) == _PUBLIC_KEY_BYTES else None
