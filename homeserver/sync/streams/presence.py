"""How those are who share a small room with the user: `presence`."""

from collections.abc import Iterable

import orjson

from homeserver.core.changes import PresenceChange
from homeserver.core.filters import EventFilter, event_passes
from homeserver.sync.body import Body
from homeserver.sync.live_presence import LivePresence
from homeserver.sync.live_users import LiveUser
from homeserver.sync.request import NO_FILTER, Window
from homeserver.sync.spans import Span

__all__ = ["Presence"]

_OFFLINE = "offline"
_ONLINE = "online"
_TYPE = "m.presence"


class Presence:
    """Tells of presence. It has no history: what changed twice is told once, as it is now."""

    def __init__(self, live: LivePresence) -> None:
        self._live = live

    async def complete(self, window: Window, spans: list[Span], body: Body) -> None:  # noqa: ARG002 - a Stream
        """Everybody who is not offline."""
        await self._size_up(window.user)
        self._tell(window, self._live.visible_to(window.user), body, is_complete=window.since is None)

    async def everybody(self, user: LiveUser, now_ms: int) -> list[bytes]:
        """Everybody who is not offline, for who asks without a filter: events, encoded."""
        await self._size_up(user)
        changes = self._changes(user, NO_FILTER.presence, self._live.visible_to(user), is_complete=True)
        return [_encoded(change, now_ms) for change in changes]

    async def incremental(self, window: Window, spans: list[Span], body: Body) -> None:
        """Those who changed; also those who went."""
        since, user = window.since, window.user
        assert since is not None, "an increment has a beginning"
        await self._size_up(user)
        if window.request.full_state or not user.presence.knows_all_since(since):
            await self.complete(window, spans, body)
            return
        changed = [
            user_id
            for user_id in user.presence.users_after(since, window.now)
            if self._live.sees(user, user_id)
        ]
        rooms = [
            room_id
            for room_id in user.presence.rooms_after(since)
            if room_id in user.rooms and user.rooms[room_id].membership == "join"
        ]
        self._tell(window, {*changed, *self._live.visible_in(rooms)}, body, is_complete=False)

    async def _size_up(self, user: LiveUser) -> None:
        if not user.presence.is_sized:
            await self._live.size_up(user)

    def _tell(self, window: Window, user_ids: Iterable[str], body: Body, *, is_complete: bool) -> None:
        wanted = window.request.filter.presence
        changes = self._changes(window.user, wanted, user_ids, is_complete=is_complete)
        body.presence += [_encoded(change, window.now_ms) for change in _limited(wanted, changes)]

    def _changes(
        self, user: LiveUser, wanted: EventFilter, user_ids: Iterable[str], *, is_complete: bool
    ) -> list[PresenceChange]:
        changes = [
            change
            for change in map(self._live.last, user_ids)
            if change is not None
            and change.user_id not in user.ignored
            and not (is_complete and change.presence == _OFFLINE)
            and event_passes(wanted, _TYPE, change.user_id, {})
        ]
        changes.sort(key=_position)
        return changes


def _position(change: PresenceChange) -> int:
    return change.position


def _limited(wanted: EventFilter, changes: list[PresenceChange]) -> list[PresenceChange]:
    if wanted.limit is None:
        return changes
    return changes[len(changes) - min(wanted.limit, len(changes)) :]  # the last ones


def _encoded(change: PresenceChange, now_ms: int) -> bytes:
    content: dict[str, object] = {"presence": change.presence}
    if change.last_active_ms:
        content["last_active_ago"] = max(0, now_ms - change.last_active_ms)
    if change.presence == _ONLINE:
        content["currently_active"] = change.currently_active
    if change.status_msg is not None:
        content["status_msg"] = change.status_msg
    return orjson.dumps({"type": _TYPE, "sender": change.user_id, "content": content})
