"""What changed of the threads that a user follows: as sliding sync, the WebSocket and pages tell it.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4308

It has no history: what changed twice is told once, as it is now. The newest changes are told first.
"""

from collections.abc import Iterable, Sequence

import orjson

from homeserver.core.changes import ThreadSubscriptionChange
from homeserver.core.positions import SyncToken, pagination_token
from homeserver.sync.bump_stamps import bump_stamp_of
from homeserver.sync.live_users import LiveUser
from homeserver.sync.ports import SyncReads

__all__ = ["THREADS_MAX", "ThreadSubscriptions", "encoded"]

THREADS_MAX = 100
"""With one answer. Of more, it says where to read on."""


class ThreadSubscriptions:
    """Tells which threads users began or ceased to follow."""

    def __init__(self, reads: SyncReads) -> None:
        self._reads = reads

    async def tell(
        self, user: LiveUser, told: SyncToken | None, now: SyncToken, limit: int = THREADS_MAX
    ) -> list[bytes]:
        """What changed, as a member of an answer; none if nothing did.

        Args:
            user: whose threads.
            told: up to where the client was told; None: of nothing yet, then the latest changes are told.
            now: up to where to tell.
            limit: of so many changes at most.
        """
        news = None if told is None else user.threads.after(told)
        has_more = False
        if news is None:
            lowest = 0 if told is None else told.lowest
            # One more than are told: is there any behind?
            news = await self._reads.thread_changes(user.user_id, lowest, now.highest, limit + 1)
            has_more = len(news) > limit
        changes = [
            one for one in news
            if now.covers(one.position) and (told is None or not told.covers(one.position))
        ]  # fmt: skip
        if not changes and not has_more:
            return []
        has_more |= len(changes) > limit
        changes = changes[:limit]
        place = (changes or news)[-1].position - 1 if has_more else None
        return [b'"io.element.msc4308.thread_subscriptions":' + encoded(changes, b"prev_batch", place)]


def encoded(changes: Sequence[ThreadSubscriptionChange], token_name: bytes, place: int | None) -> bytes:
    """The JSON object of changes; with a token of where there may be more, if there may."""
    parts: list[bytes] = []
    for name, is_subscribed in ((b"subscribed", True), (b"unsubscribed", False)):
        rooms = _by_room([one for one in changes if one.is_subscribed is is_subscribed])
        if rooms:
            parts.append(b'"%b":{%b}' % (name, b",".join(rooms)))
    if place is not None:
        parts.append(b'"%b":"%b"' % (token_name, pagination_token(place).encode()))
    return b"{%b}" % b",".join(parts)


def _by_room(changes: Iterable[ThreadSubscriptionChange]) -> list[bytes]:
    rooms: dict[str, dict[str, dict[str, object]]] = {}
    for one in changes:
        told: dict[str, object] = {"automatic": one.is_automatic} if one.is_subscribed else {}
        told["bump_stamp"] = bump_stamp_of(one.position)
        rooms.setdefault(one.room_id, {})[one.root_id] = told
    return [b"%b:%b" % (orjson.dumps(room_id), orjson.dumps(roots)) for room_id, roots in rooms.items()]
