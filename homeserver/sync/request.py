"""What a client asks of a sync, decoded; and the stretch of the streams that one answer is about."""

from dataclasses import dataclass
from functools import lru_cache

from homeserver.core.errors import InvalidParam
from homeserver.core.filters import Filter
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.sync.live_users import LiveUser

__all__ = ["NO_FILTER", "SyncRequest", "Window", "parse_since"]

TIMELINE_LIMIT_DEFAULT = 10
TIMELINE_LIMIT_MAX = 1_000
TIMEOUT_MS_MAX = 120_000
TOKENS_MAX = 1_000

NO_FILTER = Filter()


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """A sync as asked for.

    Attributes:
        requester: who asks.
        filter: what of it is wanted.
        since: the token that the client has; None for a complete sync.
        full_state: tell the whole state of each joined room again.
        use_state_after: tell the state after the timeline, not before it.
        state_after_name: what a response calls that state.
        timeout_ms: how long to wait if there is nothing to tell.
        timeline_limit_default: events per room if the filter does not say.
        threads_max: tell which threads the user follows: of so many changes at most; 0: do not tell.
        events_max: page forward: tell of at most so many events at once (about), oldest first; 0: of all.
    """

    requester: Requester
    filter: Filter = NO_FILTER
    since: SyncToken | None = None
    full_state: bool = False
    use_state_after: bool = False
    state_after_name: bytes = b"state_after"
    timeout_ms: int = 0
    timeline_limit_default: int = TIMELINE_LIMIT_DEFAULT
    events_max: int = 0
    threads_max: int = 0

    @property
    def timeline_limit(self) -> int:
        """How many events of one room's timeline to tell."""
        limit = self.filter.room.timeline.limit
        return min(self.timeline_limit_default if limit is None else limit, TIMELINE_LIMIT_MAX)


@dataclass(slots=True)  # not frozen: that triples the cost of making one, and each delivery makes one
class Window:
    """What one answer is about: everything after `since` up to `now`. Not to be changed.

    Attributes:
        request: what was asked.
        user: the rooms of who asks.
        since: where the client is; None for a complete sync.
        now: up to where to tell.
        next_batch: where the client will be; never behind where it was.
        now_ms: wall time, for the age of events.
    """

    request: SyncRequest
    user: LiveUser
    since: SyncToken | None
    now: SyncToken
    next_batch: SyncToken
    now_ms: int


_parse_token = lru_cache(TOKENS_MAX)(SyncToken.parse)
"""Those who were told the same come with the same token."""


def parse_since(text: str | None) -> SyncToken | None:
    """Read the `since` token of a client; an empty one counts as none.

    Raises:
        InvalidParam: it is not one of ours.
    """
    if not text:
        return None  # COMPAT: some clients send an empty `since` at first
    try:
        return _parse_token(text)
    except ValueError as error:
        raise InvalidParam(f"since: {error}") from None
