"""Which state events an event names as the ones that allow it.

Spec: https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection
"""

from collections.abc import Mapping
from typing import Any

from homeserver.core.content.member import (
    INVITE,
    JOIN,
    KNOCK,
    authoriser_of,
    membership_in,
    third_party_signed_of,
)
from homeserver.core.room_versions import RoomVersionRules

__all__ = ["StateKey", "auth_types_for"]

StateKey = tuple[str, str]
"""Event type and state key."""

_CREATE: StateKey = ("m.room.create", "")
_POWER_LEVELS: StateKey = ("m.room.power_levels", "")
_JOIN_RULES: StateKey = ("m.room.join_rules", "")
_NEEDS_JOIN_RULES = frozenset((JOIN, INVITE, KNOCK))


def auth_types_for(
    rules: RoomVersionRules,
    type: str,  # noqa: A002 - the spec's word
    sender: str,
    state_key: str | None,
    content: Mapping[str, Any],
) -> list[StateKey]:
    """List the entries of the room state that an event must have as its auth events, so far as they exist.

    Where the room ID is the create event's ID, the create event is left out, as the room version wants.
    """
    if type == "m.room.create":
        return []
    keys = [_POWER_LEVELS, ("m.room.member", sender)]
    if not rules.authorization.room_create_event_id_as_room_id:
        keys.insert(0, _CREATE)
    if type == "m.room.member" and state_key is not None:
        for key in _for_membership(rules, state_key, content):
            if key not in keys:
                keys.append(key)
    return keys


def _for_membership(rules: RoomVersionRules, target: str, content: Mapping[str, Any]) -> list[StateKey]:
    keys: list[StateKey] = [("m.room.member", target)]
    membership = membership_in(content)
    if membership in _NEEDS_JOIN_RULES:
        keys.append(_JOIN_RULES)
    if membership == INVITE:
        signed = third_party_signed_of(content)
        token = None if signed is None else signed.get("token")
        if isinstance(token, str):
            keys.append(("m.room.third_party_invite", token))
    if membership == JOIN and rules.authorization.restricted_join_rule:
        authoriser = authoriser_of(content)
        if authoriser is not None:
            keys.append(("m.room.member", authoriser))
    return keys
