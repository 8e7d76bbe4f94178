"""Events as a server makes them that keeps to no rules: like another one, but for what a test wants."""

from homeserver.core.event.builder import build_event
from homeserver.core.identifiers import server_name_of
from homeserver.core.redaction import redact
from homeserver.core.signing import content_hash, encode_for_rules, event_id_of
from tests.factory.room_timeline import signing_key_of

__all__ = ["forged", "signed"]


def forged(like, **other):
    """Make a signed event like another one, but for what is given."""
    sender = other.pop("sender", like.sender)
    signer = other.pop("signer", server_name_of(sender))
    return build_event(**{
        "rules": like.rules, "type": like.type, "sender": sender, "content": dict(like.content),
        "state_key": like.state_key, "room_id": like.room_id, "prev_events": list(like.prev_events),
        "auth_events": list(like.auth_events), "depth": like.depth,
        "origin_server_ts": like.origin_server_ts + 1, "server_name": server_name_of(sender),
        "signing_key": signing_key_of(signer), **other,
    })  # fmt: skip


def signed(pdu, rules):
    """Hash and sign a PDU whatever is in it; returns it with its event ID."""
    server_name = server_name_of(pdu["sender"])
    key = signing_key_of(server_name)
    pdu = {name: value for name, value in pdu.items() if name not in {"hashes", "signatures", "unsigned"}}
    pdu["hashes"] = {"sha256": content_hash(pdu, rules)}
    signature = key.sign(encode_for_rules(redact(pdu, rules), rules))
    pdu["signatures"] = {server_name: {key.key_id: signature}}
    return event_id_of(pdu, rules), pdu
