"""The lists of one request: which rooms belong to each, in which order, and which are in its windows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from homeserver.sync.live_users import LiveUser, RoomOfUser
from homeserver.sync.sliding.own_rooms import Marks
from homeserver.sync.sliding.request import ListBody, ListFilters, RoomBody, SlidingBody
from homeserver.sync.sliding.room_config import RoomConfig, combined
from homeserver.sync.sliding.room_facts import RoomFacts, Traits

__all__ = ["Listed", "Lists"]

SEEN = frozenset({"join", "invite", "knock"})


@dataclass(frozen=True, slots=True)
class Listed:
    """What the lists and subscriptions of a request come to.

    Attributes:
        counts: how many rooms each list has.
        windows: the rooms in the windows of each list.
        subscribed: the rooms that are subscribed to and may be.
        configs: what is wanted of each room, in the order in which rooms are told.
        is_whole: all of this stays the same until the user's rooms or what they noted of them changes.
        scopes: the rooms of extensions, as far as worked out.
        members: the rooms of each list, in its windows or not.
    """

    counts: Mapping[str, int]
    windows: Mapping[str, Sequence[str]]
    subscribed: Sequence[str]
    configs: Mapping[str, RoomConfig]
    is_whole: bool = False
    scopes: dict[tuple[object, ...], Mapping[str, None]] = field(default_factory=dict)
    members: Mapping[str, Collection[str]] = field(default_factory=dict)


class Lists:
    """Makes the lists."""

    def __init__(self, facts: RoomFacts) -> None:
        self._facts = facts

    async def of(
        self, body: SlidingBody, user: LiveUser, rooms: Mapping[str, RoomOfUser], marks: Marks
    ) -> Listed:
        """The lists of a request, made of a user's rooms."""
        counts: dict[str, int] = {}
        windows: dict[str, Sequence[str]] = {}
        of_lists: dict[str, Collection[str]] = {}
        wishes: dict[str, list[RoomBody]] = {}
        for key, asked in (body.lists or {}).items():
            members = await self._members(asked, user, rooms, marks)
            counts[key] = len(members)
            windows[key] = await self._windows(asked, members, rooms)
            of_lists[key] = windows[key] if len(windows[key]) == len(members) else members
            for room_id in windows[key]:
                wishes.setdefault(room_id, []).append(asked)
        subscribed = []
        for room_id, wish in (body.room_subscriptions or {}).items():
            room = user.rooms.get(room_id)
            # A room that was left long ago may be looked at as it was then; others are not the user's.
            was_left = room is not None and room.membership == "leave" and not room.is_forgotten
            if room_id in rooms or was_left:
                subscribed.append(room_id)
                wishes.setdefault(room_id, []).append(wish)
        is_whole = all(
            len(windows[key]) == counts[key] and (one.filters is None or not _asks_for_traits(one.filters))
            for key, one in (body.lists or {}).items()
        )
        configs = _configs(wishes, user.user_id)
        return Listed(counts, windows, subscribed, configs, is_whole, members=of_lists)

    async def _members(
        self, asked: ListBody, user: LiveUser, rooms: Mapping[str, RoomOfUser], marks: Marks
    ) -> Collection[str]:
        filters = asked.filters
        if filters is None:
            return rooms.keys()
        found = [room for room in rooms.values() if _passes_marks(filters, room, marks)]
        if filters.spaces is not None:
            children = await self._children(filters.spaces, user)
            found = [room for room in found if room.room_id in children]
        if _asks_for_traits(filters):
            traits = await self._facts.traits([room.room_id for room in found])
            found = [room for room in found if _passes_traits(filters, room, traits[room.room_id])]
        return [room.room_id for room in found]

    async def _children(self, spaces: Collection[str], user: LiveUser) -> set[str]:
        children: set[str] = set()
        for space_id in spaces:
            space = user.rooms.get(space_id)
            if space is not None and space.membership == "join":
                children |= await self._facts.children(space_id)
        return children

    async def _windows(
        self, asked: ListBody, members: Collection[str], rooms: Mapping[str, RoomOfUser]
    ) -> Sequence[str]:
        ranges = asked.ranges
        whole = ranges is None or any(first == 0 and last >= len(members) - 1 for first, last in ranges)
        if ranges is None or whole or asked.slow_get_all_rooms:
            return list(members)  # all of them: clients sort by themselves
        joined = [room_id for room_id in members if rooms[room_id].membership == "join"]
        last = await self._facts.last_events(joined)

        def activity(room_id: str) -> int:
            room = rooms[room_id]
            return last[room_id] if room.membership == "join" else room.position

        order = sorted(members, key=activity, reverse=True)
        found: dict[str, None] = {}
        for first, end in ranges:
            found.update(dict.fromkeys(order[first : end + 1]))
        return list(found)


def _configs(wishes: Mapping[str, list[RoomBody]], user_id: str) -> dict[str, RoomConfig]:
    # Most rooms are wanted by the same lists: one config for all of them.
    made: dict[tuple[int, ...], RoomConfig] = {}
    configs = {}
    for room_id, bodies in wishes.items():
        key = tuple([id(body) for body in bodies])
        config = made.get(key)
        if config is None:
            config = made[key] = combined(bodies, user_id)
        configs[room_id] = config
    return configs


def _passes_marks(filters: ListFilters, room: RoomOfUser, marks: Marks) -> bool:
    if filters.is_dm is not None and filters.is_dm is not (room.room_id in marks.direct):
        return False
    if filters.is_invite is not None and filters.is_invite is not (room.membership == "invite"):
        return False
    if filters.tags is None and filters.not_tags is None:
        return True
    tags = marks.tags.get(room.room_id, frozenset())
    if filters.not_tags is not None and not tags.isdisjoint(filters.not_tags):
        return False
    return filters.tags is None or not tags.isdisjoint(filters.tags)


def _asks_for_traits(filters: ListFilters) -> bool:
    return (
        filters.is_encrypted is not None
        or filters.room_types is not None
        or filters.not_room_types is not None
        or filters.room_name_like is not None
        or filters.spaces is not None
    )


def _passes_traits(filters: ListFilters, room: RoomOfUser, traits: Traits) -> bool:
    asks_for_type = filters.room_types is not None or filters.not_room_types is not None
    if not traits.is_known and (asks_for_type or filters.is_encrypted is not None):
        return False
    if filters.is_encrypted is not None and filters.is_encrypted is not traits.is_encrypted:
        return False
    if filters.not_room_types is not None and traits.room_type in filters.not_room_types:
        return False
    if filters.room_types is not None and traits.room_type not in filters.room_types:
        return False
    if filters.room_name_like is None:
        return True
    # Who is out of a room is not told what it is called now, not even by a filter.
    sees = room.membership in SEEN
    return sees and filters.room_name_like.lower() in traits.name
