"""Pages of what changed of the threads that a user follows: what one answer of a sync had no room for.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4308
"""

from homeserver.core.errors import InvalidParam
from homeserver.core.positions import POSITION_MAX, SyncToken, parse_pagination_token
from homeserver.sync.ports import SyncReads
from homeserver.sync.sliding.connections import position_of_pos
from homeserver.sync.thread_subscriptions import encoded

__all__ = ["THREADS_PER_PAGE_MAX", "ThreadPages"]

THREADS_PER_PAGE_MAX = 512


class ThreadPages:
    """Pages back through the changes of a user's thread subscriptions."""

    def __init__(self, reads: SyncReads) -> None:
        self._reads = reads

    async def page(self, user_id: str, *, start: str | None, stop: str | None, limit: int) -> bytes:
        """A page: the newest changes that are older than `start`, and newer than `stop`.

        Args:
            user_id: whose.
            start: `prev_batch` of a sync, or `end` of a page; None: from now.
            stop: `end` of a page, `pos` of a sliding sync or token of another sync; None: the beginning.
            limit: at most so many.

        Raises:
            InvalidParam: a token is none of these.
        """
        until = POSITION_MAX if start is None else _page_token("from", start)
        after = 0 if stop is None else _stop_of(stop)
        changes = await self._reads.thread_changes(user_id, after, until, limit + 1)
        place = changes[limit - 1].position - 1 if len(changes) > limit else None
        return encoded(changes[:limit], b"end", place)


def _page_token(name: str, text: str) -> int:
    try:
        return parse_pagination_token(text)
    except ValueError as error:
        raise InvalidParam(f"{name}: {error}") from None


def _stop_of(text: str) -> int:
    position = position_of_pos(text)
    if position is not None:
        return position
    try:
        return SyncToken.parse(text).lowest
    except ValueError:
        return _page_token("to", text)
