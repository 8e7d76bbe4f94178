"""The extension `io.element.msc4308.thread_subscriptions`, and the pages of what one answer had no room for.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4308

It tells of all threads of a user, wherever their rooms are in the lists. What changed twice is told once, as
it is now, newest first.
"""

from collections.abc import Iterable, Sequence

import orjson

from homeserver.core.changes import ThreadSubscriptionChange
from homeserver.core.errors import InvalidParam
from homeserver.core.positions import POSITION_MAX, SyncToken, pagination_token, parse_pagination_token
from homeserver.sync.sliding.connections import position_of_pos
from homeserver.sync.sliding.entry import bump_stamp_of
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.ports import SlidingReads
from homeserver.sync.sliding.request import THREADS_MAX, ThreadsExtension

__all__ = ["THREADS_PER_PAGE_MAX", "ThreadPages", "ThreadsPart"]

THREADS_PER_PAGE_MAX = 512

class ThreadsPart:
    """Tells which threads a user began or ceased to follow."""

    def __init__(self, reads: SlidingReads) -> None:
        self._reads = reads

    async def tell(self, look: Look, asked: ThreadsExtension, told: SyncToken | None) -> list[bytes]:
        """What changed, newest first, with the extension's name; nothing if nothing did.

        Args:
            look: who looks.
            asked: for how much.
            told: up to where the connection was told; None: of nothing yet, then the latest changes are told.
        """
        limit = min(asked.limit, THREADS_MAX)
        news = None if told is None else look.user.threads.after(told)
        if news is None:
            lowest = 0 if told is None else told.lowest
            # One more than are told: is there any behind?
            news = await self._reads.thread_changes(look.user.user_id, lowest, look.now.highest, limit + 1)
        changes = [
            one for one in news[:limit]
            if look.now.covers(one.position) and (told is None or not told.covers(one.position))
        ]  # fmt: skip
        place = news[limit - 1].position - 1 if len(news) > limit else None
        if not changes and place is None:
            return []
        return [b'"io.element.msc4308.thread_subscriptions":' + encoded(changes, b"prev_batch", place)]


class ThreadPages:
    """Pages back through the changes of a user's thread subscriptions."""

    def __init__(self, reads: SlidingReads) -> None:
        self._reads = reads

    async def page(self, user_id: str, *, start: str | None, stop: str | None, limit: int) -> bytes:
        """A page: the newest changes that are older than `start`, and newer than `stop`.

        Args:
            user_id: whose.
            start: `prev_batch` of the extension or `end` of a page; None: from now.
            stop: `end` of a page, or the `pos` of a sliding sync; None: the beginning.
            limit: at most so many.

        Raises:
            InvalidParam: a token is none of these.
        """
        until = POSITION_MAX if start is None else _page_token("from", start)
        after = 0 if stop is None else _stop_of(stop)
        changes = await self._reads.thread_changes(user_id, after, until, limit + 1)
        place = changes[limit - 1].position - 1 if len(changes) > limit else None
        return encoded(changes[:limit], b"end", place)


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


def _page_token(name: str, text: str) -> int:
    try:
        return parse_pagination_token(text)
    except ValueError as error:
        raise InvalidParam(f"{name}: {error}") from None


def _stop_of(text: str) -> int:
    position = position_of_pos(text)
    return _page_token("to", text) if position is None else position
