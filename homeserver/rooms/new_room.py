"""What a new room begins with: from a client's wishes to the drafts of its first events. No awaits here.

Spec: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from homeserver.core.content.member import INVITE, JOIN
from homeserver.core.errors import BadJson, InvalidParam
from homeserver.core.identifiers import parse_user_id
from homeserver.core.room_versions import RoomVersionRules
from homeserver.rooms.commands import Draft
from homeserver.rooms.member_content import member_content

__all__ = [
    "CREATOR_LEVEL", "TOMBSTONE_LEVEL_ABOVE_STATE", "InitialState", "Replica", "RoomWishes",
    "default_power_levels", "first_drafts", "preset_of",
]  # fmt: skip

_PRESETS = {
    "private_chat": ("invite", "shared", "can_join"),
    "trusted_private_chat": ("invite", "shared", "can_join"),
    "public_chat": ("public", "shared", "forbidden"),
}
CREATOR_LEVEL = 100
TOMBSTONE_LEVEL_ABOVE_STATE = 150
_EVENT_LEVELS = {
    "m.room.name": 50,
    "m.room.avatar": 50,
    "m.room.canonical_alias": 50,
    "m.room.power_levels": 100,
    "m.room.history_visibility": 100,
    "m.room.server_acl": 100,
    "m.room.encryption": 100,
    "m.room.tombstone": 100,
}


@dataclass(frozen=True, slots=True)
class InitialState:
    """A state event that the client wants in the room from the beginning."""

    type: str
    content: dict[str, Any]
    state_key: str = ""


@dataclass(frozen=True, slots=True)
class Replica:
    """What a room that replaces another begins with, instead of what new rooms do.

    Attributes:
        power_levels: content of its first power levels.
        state: all other state; no preset adds to it.
    """

    power_levels: dict[str, Any]
    state: tuple[InitialState, ...]


@dataclass(frozen=True, slots=True)
class RoomWishes:
    """What a client wants of a new room; each as in the specification, but for `replica`."""

    room_version: str | None = None
    preset: str | None = None
    visibility: str = "private"
    room_alias_name: str | None = None
    name: str | None = None
    topic: str | None = None
    invite: tuple[str, ...] = ()
    is_direct: bool = False
    creation_content: dict[str, Any] = field(default_factory=dict)
    initial_state: tuple[InitialState, ...] = ()
    power_level_content_override: dict[str, Any] = field(default_factory=dict)
    replica: Replica | None = None


def preset_of(wishes: RoomWishes) -> str:
    """The preset, given or from the visibility.

    Raises:
        InvalidParam: one of them is unknown.
    """
    if wishes.visibility not in {"public", "private"}:
        raise InvalidParam("The visibility of a room is public or private.")
    preset = wishes.preset
    if preset is None:
        return "public_chat" if wishes.visibility == "public" else "private_chat"
    if preset not in _PRESETS:
        raise InvalidParam(f"The preset of a room is one of {', '.join(_PRESETS)}.")
    return preset


def first_drafts(
    wishes: RoomWishes,
    rules: RoomVersionRules,
    creator: str,
    alias: str | None,
    profiles: dict[str, dict[str, Any]],
) -> list[Draft]:
    """The first events of a room, in order. Later state of a type and state key replaces earlier.

    Args:
        wishes: what the client wants.
        rules: of the room's version.
        creator: user ID.
        alias: in full, if one is wanted.
        profiles: of the creator and of everybody invited.

    Raises:
        InvalidParam: the wishes contradict each other or the room version.
    """
    preset = preset_of(wishes)
    opening = [
        Draft("m.room.create", creator, _creation_content(wishes, rules, creator, preset), ""),
        Draft("m.room.member", creator, member_content(JOIN, profiles[creator]), creator),
        Draft("m.room.power_levels", creator, _power_levels(wishes, rules, creator, preset), ""),
    ]
    state: dict[tuple[str, str], Draft] = {}
    for draft in _state(wishes, creator, alias, preset):
        key = (draft.type, draft.state_key or "")
        state.pop(key, None)  # what replaces it comes at its own place
        state[key] = draft
    invites = []
    for user_id in dict.fromkeys(wishes.invite):
        content = member_content(INVITE, profiles[user_id])
        if wishes.is_direct:
            content["is_direct"] = True
        invites.append(Draft("m.room.member", creator, content, user_id))
    return [*opening, *state.values(), *invites]


def _creation_content(
    wishes: RoomWishes, rules: RoomVersionRules, creator: str, preset: str
) -> dict[str, Any]:
    content = dict(wishes.creation_content)
    content["room_version"] = rules.version
    content.pop("creator", None)
    if not rules.authorization.use_room_create_sender:
        content["creator"] = creator
    if not rules.authorization.additional_room_creators:
        return content
    additional = content.get("additional_creators", [])
    if not isinstance(additional, list) or not all(isinstance(one, str) for one in additional):
        raise InvalidParam("additional_creators must be a list of user IDs.")
    if preset == "trusted_private_chat":
        additional = [*additional, *wishes.invite]
    for user_id in additional:
        try:
            parse_user_id(user_id)
        except ValueError as error:
            raise InvalidParam(f"additional_creators: {error}") from None
    named = [user_id for user_id in dict.fromkeys(additional) if user_id != creator]
    content.pop("additional_creators", None)
    if named:
        content["additional_creators"] = named
    return content


def _power_levels(wishes: RoomWishes, rules: RoomVersionRules, creator: str, preset: str) -> dict[str, Any]:
    if wishes.replica is not None:
        return wishes.replica.power_levels
    privileged = rules.authorization.explicitly_privilege_room_creators
    users: dict[str, int] = {}
    if not privileged:
        users[creator] = CREATOR_LEVEL
        if preset == "trusted_private_chat":
            users.update(dict.fromkeys(wishes.invite, CREATOR_LEVEL))
    content = default_power_levels()
    content["users"] = users
    if privileged:
        content["events"]["m.room.tombstone"] = TOMBSTONE_LEVEL_ABOVE_STATE
    return content | wishes.power_level_content_override


def default_power_levels() -> dict[str, Any]:
    """Make the power levels of a new room, in which nobody is anything yet."""
    return {
        "users": {},
        "users_default": 0,
        "events": dict(_EVENT_LEVELS),
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": 0,
        "historical": 100,
    }


def _state(wishes: RoomWishes, creator: str, alias: str | None, preset: str) -> Iterator[Draft]:
    if wishes.replica is not None:
        for one in wishes.replica.state:
            yield Draft(one.type, creator, one.content, one.state_key)
        return
    join_rule, visibility, guest_access = _PRESETS[preset]
    if alias is not None:
        yield Draft("m.room.canonical_alias", creator, {"alias": alias}, "")
    yield Draft("m.room.join_rules", creator, {"join_rule": join_rule}, "")
    yield Draft("m.room.history_visibility", creator, {"history_visibility": visibility}, "")
    yield Draft("m.room.guest_access", creator, {"guest_access": guest_access}, "")
    for one in wishes.initial_state:
        if one.type in {"m.room.create", "m.room.member"}:
            raise BadJson(f"initial_state cannot hold events of type {one.type}.")
        yield Draft(one.type, creator, one.content, one.state_key)
    if wishes.name is not None:
        yield Draft("m.room.name", creator, {"name": wishes.name}, "")
    if wishes.topic is not None:
        plain = {"m.text": [{"body": wishes.topic}]}
        yield Draft("m.room.topic", creator, {"topic": wishes.topic, "m.topic": plain}, "")
