"""One delta for many: what everybody in a room is told alike is put together once.

A message in a room with 200 readers is one delta for nearly all of them: they ask for the same, have heard
the same things, and the token leaves them at the same place. With lazy loading there are two: some do not
know the speaker yet. What differs between readers (their own events, changes of members, ignored users,
account data, presence, what is bundled) never gets in here; see `Bell.is_private` and `Body.is_shared`.
"""

from collections.abc import Sequence

from homeserver.core.filters import Filter
from homeserver.core.positions import SyncToken
from homeserver.sync.assemble import Delta
from homeserver.sync.live_users import News
from homeserver.sync.request import SyncRequest

__all__ = ["SharedDeltas"]

VIEWS_MAX = 1_000
DELTAS_MAX = 1_000
VARIANTS_MAX = 8


class SharedDeltas:
    """Remembers the deltas that lead to where everything has been heard up to; no older ones."""

    def __init__(self) -> None:
        self._now: SyncToken | None = None
        self._deltas: dict[tuple[int, News], list[Delta]] = {}
        self._views: dict[tuple[Filter, int, bool, bytes], int] = {}
        self._last_view = 0

    def view_of(self, request: SyncRequest) -> int:
        """Number what a request asks for: those with the same number ask for the same."""
        asked = (
            request.filter, request.timeline_limit, request.use_state_after, request.state_after_name
        )  # fmt: skip
        view = self._views.get(asked)
        if view is None:
            if len(self._views) >= VIEWS_MAX:
                self._views.clear()  # whoever has an old number shares with nobody new
            self._last_view += 1
            view = self._views[asked] = self._last_view
        return view

    def find(self, now: SyncToken, view: int, news: News) -> Sequence[Delta]:
        """Find the deltas that tell this news and lead to `now`; they differ in the members they tell."""
        return self._deltas.get((view, news), ()) if now is self._now else ()

    def put(self, now: SyncToken, view: int, news: News, delta: Delta) -> None:
        """Remember a delta that is shared."""
        if now is not self._now:
            self._now = now
            self._deltas.clear()
        there = self._deltas.get((view, news))
        if there is not None:
            if len(there) < VARIANTS_MAX:
                there.append(delta)
        elif len(self._deltas) < DELTAS_MAX:
            self._deltas[view, news] = [delta]
