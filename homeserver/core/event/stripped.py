"""Stripped state: what those are told of a room who may come into it.

Spec: https://spec.matrix.org/v1.19/client-server-api/#stripped-state
"""

from typing import Any

from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_user_id

__all__ = ["ENTRIES_MAX", "SHOWN", "stripped_entries", "told_pdus"]

SHOWN = (
    "m.room.create",
    "m.room.join_rules",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.canonical_alias",
    "m.room.encryption",
)
"""Types of what is told, with an empty state key; beside them the member event of whoever invites."""

ENTRIES_MAX = 100
"""What other servers tell beyond that is left out."""

_KEYS = ("content", "sender", "state_key", "type")


def stripped_entries(told: Any) -> list[dict[str, Any]]:
    """Strip what another server tells of a room, as PDUs or stripped already; what is neither is left out."""
    entries = []
    for one in told[:ENTRIES_MAX] if isinstance(told, list) else ():
        if not isinstance(one, dict) or not isinstance(one.get("content"), dict):
            continue
        is_event = all(isinstance(one.get(key), str) for key in ("state_key", "type"))
        if is_event and _is_user(one.get("sender")):
            entries.append({key: one[key] for key in _KEYS})
    return entries


def _is_user(text: Any) -> bool:
    try:
        parse_user_id(text if isinstance(text, str) else "")
    except ValueError:
        return False
    return True


def told_pdus(state: dict[tuple[str, str], Event], inviter: str | None = None) -> list[dict[str, Any]]:
    """List what is told of a room to another server: whole PDUs, as its rules can check them.

    Args:
        state: what the room has of `SHOWN`, and the member event of the inviter.
        inviter: who invites.
    """
    keys = [(event_type, "") for event_type in SHOWN]
    if inviter is not None:
        keys.append(("m.room.member", inviter))
    return [state[key].pdu for key in keys if key in state]
