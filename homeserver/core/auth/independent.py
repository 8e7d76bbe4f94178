"""The rules of event authorization that do not depend on the room state.

Spec: rules 1 and 2 (in version 12: 1 to 3) of https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
"""

from collections.abc import Collection, Iterable
from typing import Any

from homeserver.core.auth.denied import Denied
from homeserver.core.auth.selection import StateKey, auth_types_for
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_user_id, server_name_of
from homeserver.core.room_versions import AuthorizationRules, rules_for

__all__ = ["check_auth_events", "check_create"]


def check_create(event: Event) -> Denied | None:
    """Check an `m.room.create`; all that it depends on is in it."""
    authorization = event.rules.authorization
    if event.prev_events:
        return Denied("A room is created before all else, so the event may follow none.")
    if event.state_key != "":
        # NOTSPEC: the rules say nothing of it, but no other state key makes a room.
        return Denied("A room is created with an empty state key.")
    if authorization.room_create_event_id_as_room_id:
        if "room_id" in event.pdu:
            return Denied("The event that creates a room has no room ID, since the room is named after it.")
    elif server_name_of(event.room_id) != server_name_of(event.sender):
        return Denied("A room is created on the server that its room ID names.")
    return _check_create_content(event.content, authorization)


def _check_create_content(content: dict[str, Any], authorization: AuthorizationRules) -> Denied | None:
    if "room_version" in content and not isinstance(content["room_version"], str):
        return Denied("The room version is not a string.")
    version = content.get("room_version")
    if version is not None and rules_for(version) is None:
        return Denied(f"The room version {version!r} is not known here.")
    if not authorization.use_room_create_sender and "creator" not in content:
        return Denied("The event that creates a room must name the creator.")
    if authorization.additional_room_creators and "additional_creators" in content:
        return _check_additional_creators(content["additional_creators"])
    return None


def _check_additional_creators(additional: Any) -> Denied | None:
    if not isinstance(additional, list):
        return Denied("The additional creators are not an array.")
    for user_id in additional:
        if not isinstance(user_id, str):
            return Denied("An additional creator is not a string.")
        try:
            parse_user_id(user_id)
        except ValueError as error:
            return Denied(f"An additional creator is not a user: {error}")
    return None


def check_auth_events(
    event: Event,
    auth_events: Iterable[Event],
    *,
    create: Event | None = None,
    rejected: Collection[str] = frozenset(),
) -> Denied | None:
    """Check that an event names the right events as those that allow it; they are not asked whether they do.

    Args:
        event: any but an `m.room.create`.
        auth_events: the events that it names, all of them.
        create: the room's `m.room.create` if that was accepted; only needed where the room is named after it.
        rejected: event IDs, at least those among `auth_events` and `create`, that were rejected themselves.
    """
    rules = event.rules
    if rules.authorization.room_create_event_id_as_room_id:
        denied = _check_room_id(event, create, rejected)
        if denied is not None:
            return denied
    selected = auth_types_for(rules, event.type, event.sender, event.state_key, event.content)
    seen: set[StateKey] = set()
    for auth_event in auth_events:
        denied = _check_auth_event(event, auth_event, selected, seen, rejected)
        if denied is not None:
            return denied
    if not rules.authorization.room_create_event_id_as_room_id and ("m.room.create", "") not in seen:
        return Denied("The event does not name the event that created the room.")
    return None


def _check_room_id(event: Event, create: Event | None, rejected: Collection[str]) -> Denied | None:
    if (
        create is None
        or create.type != "m.room.create"
        or event.room_id != "!" + create.event_id[1:]
        or create.event_id in rejected
    ):
        return Denied("The room ID is not that of an accepted event that created a room.")
    return None


def _check_auth_event(
    event: Event,
    auth_event: Event,
    selected: list[StateKey],
    seen: set[StateKey],
    rejected: Collection[str],
) -> Denied | None:
    if auth_event.state_key is None:
        return Denied(f"The event names {auth_event.event_id}, which is not part of the room state.")
    key = (auth_event.type, auth_event.state_key)
    if key in seen:
        return Denied(f"The event names two events of the type {key[0]} and the same state key.")
    seen.add(key)
    if key not in selected:
        return Denied(f"The event names one of the type {key[0]}, which has no say in whether it is allowed.")
    if auth_event.event_id in rejected:
        return Denied(f"The event names {auth_event.event_id}, which was rejected.")
    if auth_event.room_id != event.room_id:
        return Denied(f"The event names {auth_event.event_id}, which is in another room.")
    return None
