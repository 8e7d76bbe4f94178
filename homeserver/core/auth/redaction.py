"""Whether a redaction that event authorization allows takes effect.

Spec: https://spec.matrix.org/v1.19/rooms/v12/#handling-redactions
"""

from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of

__all__ = ["may_redact", "takes_effect"]


def takes_effect(redaction: Event, target: Event, levels: PowerLevels) -> bool:
    """Say whether a redaction is to be applied to the event that it names, both being accepted.

    Args:
        redaction: the `m.room.redaction`.
        target: the event with the ID `redaction.redacts`.
        levels: the power levels in the room state before the redaction.
    """
    if redaction.redacts != target.event_id or redaction.room_id != target.room_id:
        return False
    if redaction.rules.authorization.special_case_room_redaction:
        return True  # event authorization has seen to it
    return levels.user_level(redaction.sender) >= levels.redact or (
        server_name_of(redaction.sender) == server_name_of(target.sender)
    )


def may_redact(user_id: str, target: Event, levels: PowerLevels) -> bool:
    """Say whether a user of ours may redact an event.

    Stricter than `takes_effect`, which trusts a server with all that its users sent: it is we who see to it
    that they redact only what is their own.
    Spec: https://spec.matrix.org/v1.19/client-server-api/#mroomredaction

    Args:
        user_id: who asks.
        target: the event that is to be redacted.
        levels: the power levels in the current room state.
    """
    return user_id == target.sender or levels.user_level(user_id) >= levels.redact
