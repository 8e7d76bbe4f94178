"""Making events of our own: hashed, signed and named.

Spec: https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from homeserver.core.canonical_json import CANONICAL_INTEGER_MAX, check_canonical
from homeserver.core.errors import BadJson
from homeserver.core.event.pdu import Event
from homeserver.core.event.size import check_key_sizes, check_size
from homeserver.core.event.sticky import STICKY, sticky_field
from homeserver.core.pdu_form import check_format
from homeserver.core.redaction import redact
from homeserver.core.room_versions import EventIdFormat, RoomVersionRules
from homeserver.core.signing import (
    SigningKey,
    encode_base64,
    encode_for_rules,
    hash_text,
    reference_hash,
    without,
)

__all__ = ["Reference", "build_event", "complete_template", "countersigned", "template_of"]

_OF_THE_MAKER = frozenset(("event_id", "hashes", "origin", "signatures"))
"""What whoever signs an event puts into it."""

_NOT_SIGNED = frozenset(("signatures", "unsigned"))

Reference = str | Event
"""An event that another refers to. Room versions 1 and 2 want its hash as well, so they want the event."""


def build_event(  # noqa: PLR0913 - an event has these properties, and all of them are named by the caller
    *,
    rules: RoomVersionRules,
    type: str,  # noqa: A002 - the spec's word
    sender: str,
    content: Mapping[str, Any],
    room_id: str | None,
    prev_events: Sequence[Reference],
    auth_events: Sequence[Reference],
    depth: int,
    origin_server_ts: int,
    server_name: str,
    signing_key: SigningKey,
    state_key: str | None = None,
    redacts: str | None = None,
    sticky_ms: int | None = None,
) -> Event:
    """Make an event, hash it, sign it and name it.

    Args:
        rules: of the room's version.
        type: event type.
        sender: user ID of ours.
        content: not copied: the caller gives it away.
        room_id: None for the create event of a room whose ID is that event's ID.
        prev_events: the forward extremities.
        auth_events: those that allow this one.
        depth: one more than the deepest of `prev_events`; kept at the limit once that is reached.
        origin_server_ts: milliseconds since 1970.
        server_name: ours.
        signing_key: ours.
        state_key: None for a message event.
        redacts: ID of the event that an `m.room.redaction` redacts; put where the room version wants it.
        sticky_ms: for how many milliseconds everybody in the room is to be told of it; None: not at all.

    Raises:
        BadJson, TooLarge: the content has no canonical JSON, or the event or a key is over the limit.
    """
    if redacts is not None and rules.redaction.redacts_in_content:
        content, redacts = {**content, "redacts": redacts}, None
    pdu: dict[str, Any] = {
        "auth_events": _references(auth_events, rules),
        "content": content,
        "depth": min(depth, CANONICAL_INTEGER_MAX),
        "origin_server_ts": origin_server_ts,
        "prev_events": _references(prev_events, rules),
        "sender": sender,
        "type": type,
    }
    if room_id is not None:
        pdu["room_id"] = room_id
    if state_key is not None:
        pdu["state_key"] = state_key
    if redacts is not None:
        pdu["redacts"] = redacts
    if sticky_ms is not None:
        pdu[STICKY] = sticky_field(sticky_ms)
    if rules.event_id_format is EventIdFormat.DOMAIN or not rules.strict_canonical_json:
        pdu["origin"] = server_name  # COMPAT: older servers require it in older rooms
    return _finish(pdu, rules, server_name, signing_key)


def template_of(event: Event) -> dict[str, Any]:
    """Take from an event what its signer puts into it: another server will sign it in its user's name."""
    return without(event.pdu, _OF_THE_MAKER)


def complete_template(
    template: Mapping[str, Any], *, rules: RoomVersionRules, room_id: str, user_id: str,
    content: Mapping[str, Any], origin_server_ts: int, server_name: str, signing_key: SigningKey,
) -> Event:  # fmt: skip
    """Make the member event that another server has sketched for a user of ours.

    Of the sketch only its place in the graph is taken. What it says of the user is for us to say.

    Raises:
        BadJson, TooLarge: the content has no canonical JSON, or the event or a key is over the limit.
        ValueError: the sketch names no place in a graph.
    """
    pdu: dict[str, Any] = {
        "auth_events": template.get("auth_events"),
        "content": content,
        "depth": template.get("depth"),
        "origin_server_ts": origin_server_ts,
        "prev_events": template.get("prev_events"),
        "room_id": room_id,
        "sender": user_id,
        "state_key": user_id,
        "type": "m.room.member",
    }
    if rules.event_id_format is EventIdFormat.DOMAIN or not rules.strict_canonical_json:
        pdu["origin"] = server_name  # COMPAT: as in `build_event`
    # Our own content is looked at when the event is signed: what is wrong with it is not the sketch's fault.
    unnamed: dict[str, Any] = {"content": {}, "hashes": {"sha256": ""}, "signatures": {}}
    if rules.event_id_format is EventIdFormat.DOMAIN:
        unnamed["event_id"] = f"$unnamed:{server_name}"
    dropped = check_format({**pdu, **unnamed}, rules)
    if dropped is not None:
        raise ValueError(dropped.reason)
    return _finish(pdu, rules, server_name, signing_key)


def countersigned(
    pdu: Mapping[str, Any], rules: RoomVersionRules, server_name: str, signing_key: SigningKey
) -> dict[str, Any]:
    """Copy a PDU of another server with our signature beside the others.

    Raises:
        ValueError: it has no canonical JSON.
    """
    signed = encode_for_rules(without(redact(pdu, rules), _NOT_SIGNED), rules)
    signatures = {**pdu["signatures"]}
    own = signatures.get(server_name)
    signatures[server_name] = {
        **(own if isinstance(own, dict) else {}), signing_key.key_id: signing_key.sign(signed)
    }  # fmt: skip
    return {**pdu, "signatures": signatures}


def _finish(pdu: dict[str, Any], rules: RoomVersionRules, server_name: str, signing_key: SigningKey) -> Event:
    check_key_sizes(pdu)
    try:
        check_canonical(pdu["content"])  # in lenient room versions too: no event of ours needs the leniency
        return _hash_sign_and_name(pdu, rules, server_name, signing_key)
    except ValueError as error:
        raise BadJson(str(error)) from error


def _hash_sign_and_name(
    pdu: dict[str, Any], rules: RoomVersionRules, server_name: str, signing_key: SigningKey
) -> Event:
    unhashed = encode_for_rules(pdu, rules)
    event_id = None
    if rules.event_id_format is EventIdFormat.DOMAIN:
        # The spec asks only that it be unique. Taken from the event itself it is, and needs no randomness.
        opaque = urlsafe_b64encode(sha256(unhashed).digest())[:32].decode("ascii")
        event_id = pdu["event_id"] = f"${opaque}:{server_name}"
        unhashed = encode_for_rules(pdu, rules)
    pdu["hashes"] = {"sha256": encode_base64(sha256(unhashed).digest())}
    signed = encode_for_rules(redact(pdu, rules), rules)
    pdu["signatures"] = {server_name: {signing_key.key_id: signing_key.sign(signed)}}
    canonical = encode_for_rules(pdu, rules)
    check_size(canonical)
    # Signature and reference hash cover the same bytes.
    return Event(pdu, canonical, rules, event_id or "$" + hash_text(signed, rules))


def _references(events: Sequence[Reference], rules: RoomVersionRules) -> list[Any]:
    if not rules.event_references_are_pairs:
        return [event if isinstance(event, str) else event.event_id for event in events]
    # NOTSPEC: without the event at hand its hash is left out; no server is known to look at it.
    return [
        [event, {}]
        if isinstance(event, str)
        else [event.event_id, {"sha256": reference_hash(event.pdu, rules)}]
        for event in events
    ]
