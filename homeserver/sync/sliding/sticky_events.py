"""The extension `org.matrix.msc4354.sticky_events`: what everybody in a room is told of for a while.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4480

It tells of all rooms of lists, in their windows or not. Its place is its own, and goes on after a restart.
"""

from collections.abc import Mapping

import orjson

from homeserver.core.errors import InvalidParam
from homeserver.core.positions import SyncToken
from homeserver.sync.sliding.entry import Entry
from homeserver.sync.sliding.lists import Listed
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.request import StickyExtension
from homeserver.sync.sticky_events import StickyEvents, StickyLook

__all__ = ["StickyPart"]

_SCOPE = ("sticky events",)

Known = Mapping[str, None]
"""The rooms that were in scope with an earlier answer."""


class StickyPart:
    """Tells of sticky events."""

    def __init__(self, source: StickyEvents) -> None:
        self._source = source

    async def tell(
        self, look: Look, asked: StickyExtension, listed: Listed, entries: Mapping[str, Entry],
        known: Known | None,
    ) -> tuple[bytes, bool, Known]:  # fmt: skip
        """What is new; whether that is anything; and the rooms that were in scope.

        Args:
            look: who looks.
            asked: what for, and up to where they have been told.
            listed: the lists.
            entries: what is told of rooms: what is in a timeline is not told again.
            known: the rooms in scope of the connection's last answer; None if it did not ask: then `since` is
                taken to be about all.
        """
        since, scope = _place_of(asked), _scope_of(look, listed)
        place = look.now if since is None else look.now.merge(since)
        if since is not None and scope is known and self._source.is_quiet(since):
            return _encoded(place, []), False, scope  # the live case: the rooms are the same
        known = scope if known is None else known
        fresh = [room_id for room_id in scope if _is_fresh(look, room_id, since, known)]
        others = scope if not fresh else [room_id for room_id in scope if room_id not in set(fresh)]
        part = await self._source.tell(
            StickyLook(
                look.requester, look.user, since, look.now, look.now_ms, asked.limit, fresh, list(others),
                lambda: {event_id for entry in entries.values() for event_id in entry.event_ids},
            )
        )  # fmt: skip
        if part.told_until is not None:
            place = place.with_sticky_after(part.told_until)
        session_id = look.requester.session_id
        rooms = [
            b'%b:{"events":[%b]}'
            % (
                orjson.dumps(room_id),
                b",".join([shown.sticky_json(look.now_ms, session_id) for shown in events]),
            )
            for room_id, events in part.rooms.items()
        ]
        return _encoded(place, rooms), bool(rooms), scope


def _place_of(asked: StickyExtension) -> SyncToken | None:
    if asked.since is None:
        return None
    try:
        return SyncToken.parse(asked.since)
    except ValueError as error:
        raise InvalidParam(f"extensions.org.matrix.msc4354.sticky_events.since: {error}") from None


def _scope_of(look: Look, listed: Listed) -> Known:
    scope = listed.scopes.get(_SCOPE)
    if scope is None:
        mine = look.user.rooms
        found = [*listed.subscribed, *[room_id for one in listed.members.values() for room_id in one]]
        scope = listed.scopes[_SCOPE] = {
            room_id: None for room_id in found if room_id in mine and mine[room_id].membership == "join"
        }
    return scope


def _is_fresh(look: Look, room_id: str, since: SyncToken | None, known: Known) -> bool:
    """Whether the client may have been told nothing of a room yet."""
    if since is None or room_id not in known:
        return True
    room = look.user.rooms.get(room_id)
    return room is None or not since.covers(room.position)


def _encoded(place: SyncToken, rooms: list[bytes]) -> bytes:
    return b'{"next_batch":%b,"rooms":{%b}}' % (orjson.dumps(place.encode()), b",".join(rooms))
