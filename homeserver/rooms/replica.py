"""What the room that replaces another begins with: made of the old room's state. No awaits here.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.core.canonical_json import encode_canonical
from homeserver.core.content import join_rules
from homeserver.core.content.create import creators_of, is_federated, room_type_of
from homeserver.core.content.power_levels import DEFAULTS, read_level
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_user_id
from homeserver.core.room_versions import RoomVersionRules
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.new_room import (
    CREATOR_LEVEL,
    TOMBSTONE_LEVEL_ABOVE_STATE,
    InitialState,
    Replica,
    default_power_levels,
)

__all__ = ["POWER_LEVELS", "PowerLevelsOfReplica", "creation_content_of", "levels_of", "replica_of"]

POWER_LEVELS = "m.room.power_levels"
_LEVEL_MAX = 2**53 - 1

# The types that the specification recommends, and what of the room's own is not bound to who sent it.
_COPIED = (
    "m.room.server_acl", "m.room.encryption", "m.room.name", "m.room.avatar", "m.room.topic",
    "m.room.guest_access", "m.room.history_visibility", "m.room.join_rules", "m.room.canonical_alias",
    "m.room.retention", "m.room.policy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PowerLevelsOfReplica:
    """The power levels of a room that replaces another.

    Attributes:
        first: those under which it is set up, by which its creator may do all that takes.
        final: those that it ends up with.
    """

    first: dict[str, Any]
    final: dict[str, Any]


def creation_content_of(
    old: RoomActor, rules: RoomVersionRules, additional_creators: Iterable[str]
) -> dict[str, Any]:
    """Say what the create event of the new room holds beside what every one does."""
    create = old.create
    assert create is not None, "a room has been created"
    last_event_id = old.extremities[-1].event.event_id
    content: dict[str, Any] = {"predecessor": {"room_id": old.room_id, "event_id": last_event_id}}
    room_type = room_type_of(create)
    if room_type is not None:
        content["type"] = room_type
    if not is_federated(create):
        content["m.federate"] = False
    # The old room's are not taken over: to be a creator is for ever, so it is decided each time.
    creators = list(additional_creators)
    if creators and rules.authorization.additional_room_creators:
        content["additional_creators"] = creators
    return content


def replica_of(old: RoomActor, rules: RoomVersionRules, power_levels: dict[str, Any]) -> Replica:
    """Say what state the new room begins with."""
    state = []
    for event_type in _COPIED:
        event = old.state.get((event_type, ""))
        if event is None or not event.content:
            continue
        content = _join_rules(event, rules) if event_type == "m.room.join_rules" else event.content
        if is_copiable(content):
            state.append(InitialState(event_type, content))
    return Replica(power_levels, tuple(state))


def is_copiable(content: Mapping[str, Any]) -> bool:
    """Say whether every room version takes the content: old ones took numbers that later ones refuse."""
    try:
        encode_canonical(content)
    except ValueError:
        return False
    return True


def levels_of(
    old: RoomActor, rules: RoomVersionRules, creators: Sequence[str], banned: Collection[str]
) -> PowerLevelsOfReplica:
    """Say what power levels the new room has.

    Args:
        old: the room that is replaced.
        rules: of the new room's version.
        creators: of the new room, whom later versions put above all levels; who replaces the old one first.
        banned: who is to be banned from the new room.
    """
    creator = creators[0]
    final = _levels(old, creator)
    privileged = rules.authorization.explicitly_privilege_room_creators
    users: dict[str, int] = final.setdefault("users", {})
    if privileged:
        for user_id in creators:
            users.pop(user_id, None)
        _guard_tombstone(final, old)
        return PowerLevelsOfReplica(final, final)
    if old.rules.authorization.explicitly_privilege_room_creators and old.create is not None:
        # Nobody is above all levels any more, so those who were come first among the others.
        highest = max([CREATOR_LEVEL, *users.values()])
        users.update(dict.fromkeys((*creators_of(old.create), creator), highest))
    needed = _needed(final, users, banned)
    if users.get(creator, final.get("users_default", 0)) >= needed:
        return PowerLevelsOfReplica(final, final)
    return PowerLevelsOfReplica({**final, "users": {**users, creator: needed}}, final)


def _levels(old: RoomActor, creator: str) -> dict[str, Any]:
    """The levels of the old room, as integers, which later versions ask for."""
    event = old.state.get((POWER_LEVELS, ""))
    if event is None:
        levels = default_power_levels()
        owners = (creator,) if old.create is None else (*creators_of(old.create), creator)
        return {**levels, "users": dict.fromkeys(owners, CREATOR_LEVEL)}
    content, rules = event.content, old.rules
    levels = _readable({key: content[key] for key in (*DEFAULTS, "historical") if key in content}, rules)
    for key in ("events", "notifications"):
        if isinstance(content.get(key), dict):
            levels[key] = _readable(content[key], rules)
    users = content.get("users")
    named = _readable(users, rules) if isinstance(users, dict) else {}
    return {**levels, "users": {user_id: level for user_id, level in named.items() if _is_user(user_id)}}


def _readable(entries: Mapping[str, Any], rules: RoomVersionRules) -> dict[str, Any]:
    levels = {key: read_level(value, rules) for key, value in entries.items()}
    return {key: level for key, level in levels.items() if level is not None and abs(level) <= _LEVEL_MAX}


def _is_user(user_id: str) -> bool:
    try:
        parse_user_id(user_id)
    except ValueError:
        return False
    return True


def _guard_tombstone(levels: dict[str, Any], old: RoomActor) -> None:
    """See to it that not everybody who sets state can make themselves the creator of a further room."""
    state_default = levels.get("state_default", DEFAULTS["state_default"])
    events = levels.setdefault("events", {})
    level = events.get("m.room.tombstone", state_default)
    is_new = not old.rules.authorization.explicitly_privilege_room_creators
    if level <= state_default or (is_new and level <= CREATOR_LEVEL):
        above = max(TOMBSTONE_LEVEL_ABOVE_STATE, state_default + 1)
        events["m.room.tombstone"] = min(_LEVEL_MAX, above)


def _needed(levels: Mapping[str, Any], users: Mapping[str, int], banned: Collection[str]) -> int:
    """The level that it takes to set up the room: to send any state, and to ban who has a level."""
    found: list[int] = [levels.get(name, default) for name, default in DEFAULTS.items()]
    found += levels.get("events", {}).values()
    found += [level + 1 for user_id, level in users.items() if user_id in banned]
    return min(_LEVEL_MAX, max(found))


def _join_rules(event: Event, rules: RoomVersionRules) -> dict[str, Any]:
    """The join rule, or what comes next to it where the new version lacks it."""
    join_rule = join_rules.join_rule_of(event)
    is_known = join_rule in {join_rules.PUBLIC, join_rules.INVITE, join_rules.PRIVATE}
    if is_known or join_rules.is_restricted(join_rule, rules) or join_rules.lets_knock(join_rule, rules):
        return event.content
    for rule in (join_rules.RESTRICTED, join_rules.KNOCK) if join_rule == join_rules.KNOCK_RESTRICTED else ():
        if join_rules.is_restricted(rule, rules) or join_rules.lets_knock(rule, rules):
            return {**event.content, "join_rule": rule}
    return {"join_rule": join_rules.INVITE}
