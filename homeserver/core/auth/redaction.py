"""Whether a redaction that is allowed takes effect.

Spec: https://spec.matrix.org/v1.19/rooms/v12/#handling-redactions
"""

from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of

__all__ = ["takes_effect"]


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
