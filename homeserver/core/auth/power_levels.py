"""The rules of event authorization for `m.room.power_levels`.

Spec: rule 10 of https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
"""

from collections.abc import Mapping
from typing import Any

from homeserver.core.auth.denied import Denied
from homeserver.core.content.create import creators_of
from homeserver.core.content.power_levels import DEFAULTS, PowerLevels, read_level
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_user_id
from homeserver.core.room_versions import RoomVersionRules

__all__ = ["check_power_levels"]

_NAMES = tuple(DEFAULTS)


def check_power_levels(event: Event, current: Event | None, create: Event) -> Denied | None:
    """Check an `m.room.power_levels` whose sender may send events of that type.

    Args:
        event: the new levels.
        current: the present `m.room.power_levels`, if the room has one.
        create: the room's `m.room.create`.
    """
    rules = event.rules
    denied = _check_content(event.content, rules) or _check_no_creator(event.content, create)
    if denied is not None or current is None:
        return denied
    sender_level = PowerLevels.of(current, create, rules).user_level(event.sender)
    return (
        _check_changes(_named(current.content, rules), _named(event.content, rules), sender_level)
        or _check_entries(current.content, event.content, sender_level, rules)
        or _check_users(current.content, event, sender_level)
    )


def _check_content(content: Mapping[str, Any], rules: RoomVersionRules) -> Denied | None:
    strict = rules.authorization.integer_power_levels
    for name in _NAMES:
        # NOTSPEC: before integers were required, the rules are silent on other values. Null counted as
        # left out on all servers; what is no number in any sense was an error on all.
        is_null_of_old = name in content and content[name] is None and not strict
        if name in content and not is_null_of_old and read_level(content[name], rules) is None:
            return Denied(f"The power level {name} is not an integer.")
    for name in ("events", "notifications"):
        if name == "notifications" and not rules.authorization.limit_notifications_power_levels:
            continue
        if name in content and not _holds_levels(content[name], rules):
            return Denied(f"The power levels under {name} are not an object of integers.")
    if "users" not in content:
        return None
    if not _holds_levels(content["users"], rules):
        return Denied("The power levels of users are not an object of integers.")
    for user_id in content["users"]:
        try:
            parse_user_id(user_id)
        except ValueError as error:
            return Denied(f"Power levels are for users only: {error}")
    return None


def _holds_levels(levels: Any, rules: RoomVersionRules) -> bool:
    return isinstance(levels, dict) and all(read_level(level, rules) is not None for level in levels.values())


def _check_no_creator(content: Mapping[str, Any], create: Event) -> Denied | None:
    if not create.rules.authorization.explicitly_privilege_room_creators or "users" not in content:
        return None
    for user_id in creators_of(create):
        if user_id in content["users"]:
            return Denied(f"{user_id} created the room, so no power level can be set.")
    return None


def _named(content: Mapping[str, Any], rules: RoomVersionRules) -> dict[str, int]:
    return _levels({name: content[name] for name in _NAMES if name in content}, rules)


def _levels(entries: Any, rules: RoomVersionRules) -> dict[str, int]:
    if not isinstance(entries, dict):
        return {}
    levels = {key: read_level(value, rules) for key, value in entries.items()}
    return {key: level for key, level in levels.items() if level is not None}


def _check_entries(
    current: Mapping[str, Any], new: Mapping[str, Any], sender_level: float, rules: RoomVersionRules
) -> Denied | None:
    denied = _check_changes(
        _levels(current.get("events"), rules), _levels(new.get("events"), rules), sender_level
    )
    if denied is not None or not rules.authorization.limit_notifications_power_levels:
        return denied
    return _check_changes(
        _levels(current.get("notifications"), rules), _levels(new.get("notifications"), rules), sender_level
    )


def _check_changes(
    current: Mapping[str, int], new: Mapping[str, int], sender_level: float
) -> Denied | None:
    """Check that whoever alters a level has both the present and the new one."""
    for key in current.keys() | new.keys():
        before, after = current.get(key), new.get(key)
        if before == after:
            continue
        if before is not None and before > sender_level:
            return Denied(f"It takes a power level of {before} to change the one for {key}.")
        if after is not None and after > sender_level:
            return Denied(f"Your power level is less than {after}, so you cannot set that for {key}.")
    return None


def _check_users(current_content: Mapping[str, Any], event: Event, sender_level: float) -> Denied | None:
    current = _levels(current_content.get("users"), event.rules)
    new = _levels(event.content.get("users"), event.rules)
    for user_id in current.keys() | new.keys():
        before, after = current.get(user_id), new.get(user_id)
        if before == after:
            continue
        if before is not None and user_id != event.sender and before >= sender_level:
            return Denied(f"{user_id} has at least your power level, so you cannot change it.")
        if after is not None and after > sender_level:
            return Denied(f"Your power level is less than {after}, so you cannot give it to {user_id}.")
    return None
