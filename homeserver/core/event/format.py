"""Events as clients see them, as bytes that are spliced into responses.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-event-format
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from homeserver.core.canonical_json import encode_plain
from homeserver.core.event.pdu import Event
from homeserver.core.event.sticky import STICKY_TTL

__all__ = ["DELAY_ID", "client_event", "stripped_state_event", "told_to_sender", "unsigned_json"]

DELAY_ID = "org.matrix.msc4140.delay_id"
"""In `unsigned`, for the session that scheduled the event as a delayed one: the ID that it had until then."""
NOTHING: Mapping[str, str] = MappingProxyType({})


def told_to_sender(transaction_id: str | None, delay_id: str | None = None) -> Mapping[str, str]:
    """The IDs by which a session knows an event that it sent, or scheduled, by their names in `unsigned`."""
    if transaction_id is not None:
        return {"transaction_id": transaction_id}
    return NOTHING if delay_id is None else {DELAY_ID: delay_id}


def client_event(event: Event, *, unsigned: bytes | None = None, room_id: bool = True) -> bytes:
    """Encode an event for a client.

    Args:
        event: the event.
        unsigned: its `unsigned` as JSON, which differs from reader to reader; see `unsigned_json`.
        room_id: False inside of a `/sync` response, where the room is known.
    """
    if unsigned is None and not room_id:
        return event.sync_json
    prefix = event.client_prefix if room_id else event.sync_prefix
    if unsigned is None:
        return prefix + b"}"
    return b'%b,"unsigned":%b}' % (prefix, unsigned)


def unsigned_json(
    *,
    age_ms: int | None = None,
    own: Mapping[str, str] = NOTHING,
    membership: str | None = None,
    replaces_state: str | None = None,
    replaced: Event | None = None,
    redacted_because: Event | None = None,
    relations: bytes | None = None,
    sticky_ttl_ms: int = 0,
) -> bytes | None:
    """Encode `unsigned` for one reader; None if it would be empty.

    Args:
        age_ms: how long ago the event was sent.
        own: only for the session that sent the event: by which IDs it knows it, see `told_to_sender`.
        membership: the reader's own membership at the event.
        replaces_state: ID of the state event that this one replaced.
        replaced: that event, if the reader may see it.
        redacted_because: the redaction that took the content away.
        relations: the bundled aggregations, encoded.
        sticky_ttl_ms: for how long it is sticky yet; not told if that is over.
    """
    unsigned: dict[str, Any] = {}
    if age_ms is not None:
        unsigned["age"] = age_ms
    unsigned.update(own)
    if sticky_ttl_ms > 0:
        unsigned[STICKY_TTL] = sticky_ttl_ms
    if membership is not None:
        unsigned["membership"] = membership
    if replaces_state is not None:
        unsigned["replaces_state"] = replaces_state
    if replaced is not None:
        unsigned["prev_content"] = replaced.content
        unsigned["prev_sender"] = replaced.sender
    parts = [encode_plain(unsigned)[1:-1]] if unsigned else []
    if redacted_because is not None:
        parts.append(b'"redacted_because":' + client_event(redacted_because))
    if relations is not None:
        parts.append(b'"m.relations":' + relations)
    return b"{%b}" % b",".join(parts) if parts else None


def stripped_state_event(event: Event) -> bytes:
    """Encode a state event for someone who is not in the room.

    Spec: https://spec.matrix.org/v1.19/client-server-api/#stripped-state
    """
    return encode_plain(
        {"content": event.content, "sender": event.sender, "state_key": event.state_key, "type": event.type}
    )
