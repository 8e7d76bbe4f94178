"""The rules of event authorization that depend on the room state.

Spec: rules 3 and up (in version 12: 4 and up) of
https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
"""

from collections.abc import Mapping

from homeserver.core.auth.denied import Denied
from homeserver.core.auth.membership import check_membership
from homeserver.core.auth.power_levels import check_power_levels
from homeserver.core.auth.selection import StateKey
from homeserver.core.content.create import is_federated
from homeserver.core.content.member import JOIN, membership_of
from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of

__all__ = ["check_against_state"]


def check_against_state(event: Event, state: Mapping[StateKey, Event]) -> Denied | None:
    """Check any event but an `m.room.create` against the room state before it."""
    create = state.get(("m.room.create", ""))
    if create is None or create.room_id != event.room_id:
        return Denied("There is no event that created this room.")
    if not is_federated(create) and server_name_of(event.sender) != server_name_of(create.sender):
        return Denied("This room is closed to users of other servers.")
    if event.type == "m.room.aliases" and event.rules.authorization.special_case_aliases_auth:
        return _check_aliases(event)
    if event.type == "m.room.member":
        return check_membership(event, state, create)
    if membership_of(state.get(("m.room.member", event.sender))) != JOIN:
        return Denied(f"{event.sender} is not in the room.")
    levels = PowerLevels.of(state.get(("m.room.power_levels", "")), create, event.rules)
    return _check_of_member(event, state, create, levels)


def _check_aliases(event: Event) -> Denied | None:
    if event.state_key is None:
        return Denied("Aliases are room state, so the event needs a state key.")
    if event.state_key != server_name_of(event.sender):
        return Denied("A server lists only its own aliases.")
    return None


def _check_of_member(
    event: Event, state: Mapping[StateKey, Event], create: Event, levels: PowerLevels
) -> Denied | None:
    """Check an event that is no membership, by a sender who is in the room."""
    sender_level = levels.user_level(event.sender)
    if event.type == "m.room.third_party_invite":
        may_invite = sender_level >= levels.invite
        return None if may_invite else Denied(f"It takes a power level of {levels.invite} to invite.")
    required = levels.event_level(event.type, event.state_key is not None)
    if sender_level < required:
        return Denied(f"It takes a power level of {required} to send events of the type {event.type}.")
    if event.state_key is not None and event.state_key.startswith("@") and event.state_key != event.sender:
        return Denied("State whose key is a user ID is set only by that user.")
    if event.type == "m.room.power_levels":
        return check_power_levels(event, state.get(("m.room.power_levels", "")), create)
    return _check_redaction(event, sender_level, levels)


def _check_redaction(event: Event, sender_level: float, levels: PowerLevels) -> Denied | None:
    if event.type != "m.room.redaction" or not event.rules.authorization.special_case_room_redaction:
        return None
    if sender_level >= levels.redact:
        return None
    server_name = server_name_of(event.event_id)
    if event.redacts is not None and server_name_of(event.redacts) == server_name is not None:
        return None
    return Denied(f"It takes a power level of {levels.redact} to redact what other servers sent.")
