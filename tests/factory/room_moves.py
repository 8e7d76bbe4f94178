"""Random rooms: bytes become moves, and moves become a `RoomGraph`. Whoever calls brings the chance.

Eight bytes are a move, so whoever shrinks bytes shrinks rooms: zeros are Alice setting the topic at the end
of the timeline.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from homeserver.core.signing import SigningKey, sign_json
from tests.factory.room_graph import START_MS, Resolver, RoomGraph, State

__all__ = ["MOVE_BYTES", "USERS", "room_of"]

MOVE_BYTES = 8
ALICE, BOB, CAROL, DAVE, ERIN = USERS = ("@alice:a", "@bob:b", "@carol:c", "@dave:d", "@erin:a")
LEVELS = (50, 100, 0, 51, 25)
LEVEL_NAMES = ("ban", "kick", "invite", "state_default", "users_default")
JOIN_RULES = ("public", "invite", "restricted", "knock", "knock_restricted", "private")
_KEY = SigningKey(b"k" * 32, "0")

ACTIONS = (
    "topic", "levels", "ban", "kick", "join", "levels", "join_rules", "leave", "invite", "ban", "demote_self",
    "level_of_action", "name", "restricted_join", "knock", "third_party_invite", "redeem", "own_state",
    "message", "levels", "kick", "join", "join_rules", "topic", "levels_out_of_place",
)  # fmt: skip

_LEVELS = ("m.room.power_levels", "")
# Of a byte, or half of one, that chooses.
_FORKS_FROM, _MERGES_FROM, _STRANGERS_FROM = 150, 12, 200

Move = tuple[str, str | None, dict[str, Any]]


def room_of(version: str, start: int, moves: Iterable[bytes], resolve: Resolver) -> RoomGraph:
    """Make a room: `start` says what it begins with, each move adds an event."""
    room = RoomGraph(version, resolve, create_content=_create_content(start))
    room.add("$alice", ALICE, "m.room.member", {"membership": "join"}, ALICE)
    if start & 1 == 0:
        users = {BOB: 50, CAROL: 50 if start & 2 else 100}
        room.add("$levels", ALICE, "m.room.power_levels", _with_creator(room, {"users": users}), "")
    if start & 4 == 0:
        room.add("$rules", ALICE, "m.room.join_rules", {"join_rule": "public"}, "")
        for user_id in (BOB, CAROL, DAVE):
            room.add(f"${user_id[1:-2]}", user_id, "m.room.member", {"membership": "join"}, user_id)
    for index, move in enumerate(moves):
        _add(room, index, move)
    return room


def _create_content(start: int) -> Mapping[str, Any]:
    return {"additional_creators": [CAROL]} if start & 8 else {}


def _with_creator(room: RoomGraph, content: dict[str, Any]) -> dict[str, Any]:
    """Give the creator a level where that is the custom: not where creators have one above all."""
    if room.rules.authorization.explicitly_privilege_room_creators:
        creators = {ALICE, *room.create.content.get("additional_creators", ())}
        users = {user: level for user, level in content["users"].items() if user not in creators}
        return {**content, "users": users}
    return {**content, "users": {ALICE: 100, **content["users"]}}


def _add(room: RoomGraph, index: int, move: bytes) -> None:
    follows, other, action, sender, target, value, clock, tie = move
    prev = _prev_events(room, follows, other)
    state = room.state_before(prev)
    members = [user for user in USERS if _membership(room, state, user) == "join"]
    senders = USERS if sender >= _STRANGERS_FROM or not members else members
    by = senders[sender % len(senders)]
    levels = room.events[state["m.room.power_levels", ""]].content if _LEVELS in state else {"users": {}}
    event_type, state_key, content = _what(
        ACTIONS[action % len(ACTIONS)], by, USERS[target % len(USERS)], value, levels
    )
    if event_type == "m.room.power_levels":
        content = _with_creator(room, content)
    auth = None
    if clock & 0xC0 == 0xC0:  # a lie: it names what allowed it at some other time, or not all of it
        elsewhere = room.state_after[list(room.events)[-1 - value % len(room.events)]]
        auth = room.select_auth(by, event_type, content, state_key, elsewhere)
        if tie & 0x80 and auth:
            del auth[value % len(auth)]
    depth = 1 + value % 9 if tie & 0x40 else None  # lies as well
    ts = START_MS + (index if clock & 0x30 else 0) + clock % 4
    event_id = f"${tie % 16:02}-{index:02}"
    room.add(event_id, by, event_type, content, state_key, prev=prev, auth=auth, ts=ts, depth=depth)


def _prev_events(room: RoomGraph, follows: int, other: int) -> list[str]:
    """Choose what an event follows: mostly an end of the room; sometimes older events, or two or three."""
    ends, so_far = room.heads, list(room.events)
    among = ends if follows < _FORKS_FROM else so_far[-8:]
    prev = [among[-1 - follows % len(among)]]
    for share in (other & 15, other >> 4):
        if share >= _MERGES_FROM:
            among = ends if share % 2 else so_far
            another = among[-1 - share // 2 % len(among)]
            prev += [another] if another not in prev else []
    return prev


def _membership(room: RoomGraph, state: State, user_id: str) -> str | None:
    event_id = state.get(("m.room.member", user_id))
    return None if event_id is None else room.events[event_id].content.get("membership")


def _what(  # noqa: C901, PLR0911 - one case for each kind of event
    action: str, by: str, target: str, value: int, levels: Mapping[str, Any]
) -> Move:
    match action:
        case "topic" | "name":
            return f"m.room.{action}", "", {action: str(value)}
        case "levels" | "demote_self" | "levels_out_of_place" | "level_of_action":
            return _levels(action, by, target, value, levels)
        case "join_rules":
            rule = JOIN_RULES[value % len(JOIN_RULES)]
            allow = [{"type": "m.room_membership", "room_id": "!other:a"}]
            return "m.room.join_rules", "", {"join_rule": rule, "allow": allow}
        case "ban" | "invite":
            return "m.room.member", target, {"membership": action}
        case "kick":
            return "m.room.member", target, {"membership": "leave", "n": value % 3}
        case "join" | "leave" | "knock":
            return "m.room.member", by, {"membership": action, "n": value % 3}
        case "restricted_join":
            content = {"membership": "join", "join_authorised_via_users_server": target}
            return "m.room.member", by, content
        case "third_party_invite":
            content = {"display_name": "t", "public_key": _KEY.public_key_base64}
            return "m.room.third_party_invite", f"token{value % 2}", content
        case "redeem":
            signed = _signed(target, f"token{value % 2}")
            third_party_invite = {"display_name": "t", "signed": signed}
            content = {"membership": "invite", "third_party_invite": third_party_invite}
            return "m.room.member", target, content
        case "own_state":
            return "org.example.status", target, {"n": value % 3}
        case "message":
            return "m.room.message", None, {"body": "b"}
    raise AssertionError(action)


def _levels(action: str, by: str, target: str, value: int, levels: Mapping[str, Any]) -> Move:
    level = LEVELS[value % len(LEVELS)]
    if action == "level_of_action":
        name = LEVEL_NAMES[value // len(LEVELS) % len(LEVEL_NAMES)]
        return "m.room.power_levels", "", {**levels, name: level}
    user = by if action == "demote_self" else target
    users = {**levels.get("users", {}), user: level}
    return (
        "m.room.power_levels",
        "elsewhere" if action == "levels_out_of_place" else "",
        {**levels, "users": users},
    )


@cache
def _signed(mxid: str, token: str) -> dict[str, Any]:
    return sign_json({"mxid": mxid, "token": token}, "id.example.org", _KEY)
