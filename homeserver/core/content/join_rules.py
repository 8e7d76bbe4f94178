"""The content of `m.room.join_rules`.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mroomjoin_rules
"""

from typing import Final

from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import RoomVersionRules

__all__ = [
    "INVITE", "KNOCK", "KNOCK_RESTRICTED", "PRIVATE", "PUBLIC", "RESTRICTED", "allowed_rooms",
    "is_restricted", "join_rule_of", "lets_knock",
]  # fmt: skip

INVITE: Final = "invite"
KNOCK: Final = "knock"
KNOCK_RESTRICTED: Final = "knock_restricted"
PRIVATE: Final = "private"
PUBLIC: Final = "public"
RESTRICTED: Final = "restricted"


def join_rule_of(event: Event | None) -> str:
    """Read the join rule, `invite` without an event; empty, which nobody can join by, if it is no text."""
    join_rule = INVITE if event is None else event.content.get("join_rule", INVITE)
    return join_rule if isinstance(join_rule, str) else ""


def is_restricted(join_rule: str, rules: RoomVersionRules) -> bool:
    """Say whether members of other rooms may join by this rule in this room version."""
    authorization = rules.authorization
    if join_rule == RESTRICTED:
        return authorization.restricted_join_rule
    return join_rule == KNOCK_RESTRICTED and authorization.knock_restricted_join_rule


def lets_knock(join_rule: str, rules: RoomVersionRules) -> bool:
    """Say whether users may knock by this rule in this room version."""
    authorization = rules.authorization
    if join_rule == KNOCK:
        return authorization.knocking
    return join_rule == KNOCK_RESTRICTED and authorization.knock_restricted_join_rule


def allowed_rooms(event: Event | None) -> list[str]:
    """List the rooms whose members may join by a restricted rule, in the order of the event."""
    allow = None if event is None else event.content.get("allow")
    room_ids: dict[str, None] = {}
    for condition in allow if isinstance(allow, list) else ():
        if isinstance(condition, dict) and condition.get("type") == "m.room_membership":
            room_id = condition.get("room_id")
            if isinstance(room_id, str):
                room_ids[room_id] = None
    return list(room_ids)
