"""The timeline of one room in one window: from memory where it is all there, else from the database."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from homeserver.core.event.pdu import Event
from homeserver.core.filters import event_passes, room_passes
from homeserver.core.positions import SyncToken, ms_of
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import Window
from homeserver.sync.room_cache import RoomCache
from homeserver.sync.sight import Sight
from homeserver.sync.timeline_event import TimelineEvent

__all__ = ["Sees", "Timeline", "Timelines"]

MEMORY_MS_MAX = 86_400_000
"""What is older may be over the lifetime that its room wants, which only the database knows."""
PAGES_MAX = 6
PAGE_EVENTS_MIN = 20
PAGE_EVENTS_MAX = 1_000

Sees = Callable[[int], bool]
"""Whether the reader may see the event at a position."""


@dataclass(slots=True)
class Timeline:
    """What is told of a room's timeline.

    Attributes:
        events: oldest first.
        limited: there are more between `since` and the first of these.
        start: place before the first of these: everything at or below it is what `prev_batch` leads to.
        end: position of the last event in the window, shown or not.
        passed_over: state events among them that the timeline filter kept out.
        changed: the state events that became current in the window, the last of each type and state key.
        resets: those among them that no event of the window is, since state resolution brought them back.
        bundles: what is told with some of the events, by their IDs: the `m.relations` of each, encoded.
    """

    events: list[TimelineEvent]
    limited: bool
    start: int
    end: int
    passed_over: list[TimelineEvent]
    changed: list[Event] = field(default_factory=list)
    resets: list[Event] = field(default_factory=list)
    bundles: Mapping[str, bytes] | None = None


class _Gathering:
    """Takes events newest first until there are enough."""

    __slots__ = (
        "_all_pass", "_filter", "_ignored", "_none_pass", "_passed_keys", "_sees", "_shows_lost", "changed",
        "end", "kept", "left", "limited", "passed_over", "resets", "start",
    )  # fmt: skip

    def __init__(self, window: Window, room_id: str, sees: Sees | None) -> None:
        event_filter = window.request.filter.room.timeline
        self._filter = event_filter
        self._ignored = window.user.ignored
        self._all_pass = event_filter.passes_all and room_passes(event_filter, room_id) and not self._ignored
        self._none_pass = not room_passes(event_filter, room_id)
        self._passed_keys: set[tuple[str, str | None]] = set()
        self._sees = sees
        # To a client that works the state out by itself, what is not the state in the end must not look so.
        self._shows_lost = window.request.use_state_after
        self.changed: dict[tuple[str, str | None], Event] = {}
        self.resets: dict[tuple[str, str | None], Event] = {}
        self.left = window.request.timeline_limit
        self.kept: list[TimelineEvent] = []
        self.passed_over: list[TimelineEvent] = []
        self.limited = False
        self.start = 0
        self.end = 0

    @property
    def takes_all(self) -> bool:
        """Neither filter nor sight keeps anything out."""
        return self._all_pass and self._sees is None

    def take(self, shown: TimelineEvent) -> bool:
        """Take one event; False if it is not taken, and with it nothing older."""
        event = shown.event
        self.end = self.end or shown.position
        if self._sees is not None and not self._sees(shown.position):
            # What the reader may not see interrupts the timeline; what it changed is in the state after it.
            self.limited = bool(self.kept)
            return not self.kept
        is_lost = event.state_key is not None and not shown.is_withheld and not self._becomes_state(shown)
        if shown.resets:
            self._take_resets(shown)
        if shown.is_withheld or (is_lost and not self._shows_lost):
            self.start = shown.position - 1
            return True
        if not self._all_pass and not self._passes(event):
            if event.state_key is not None:
                self.passed_over.append(shown)
                self._passed_keys.add((event.type, event.state_key))
        elif not self.left or (event.type, event.state_key) in self._passed_keys:
            # Enough; or it would come after what replaced it, since that is told as state.
            self.limited = True
            return False
        else:
            self.left -= 1
            self.kept.append(shown)
        self.start = shown.position - 1
        return True

    def _becomes_state(self, shown: TimelineEvent) -> bool:
        """Say whether a state event is the state from then on, until a later one that the client is told."""
        key = (shown.event.type, shown.event.state_key)
        if not shown.is_current or key in self.resets:
            return False
        self.changed.setdefault(key, shown.event)
        return True

    def _take_resets(self, shown: TimelineEvent) -> None:
        for event in shown.resets:
            key = (event.type, event.state_key)
            if key not in self.changed:
                self.changed[key] = self.resets[key] = event

    def _passes(self, event: Event) -> bool:
        if self._none_pass or (event.state_key is None and event.sender in self._ignored):
            return False
        return event_passes(self._filter, event.type, event.sender, event.content)


class Timelines:
    """Reads timelines."""

    def __init__(self, reads: SyncReads, cache: RoomCache) -> None:
        self._reads = reads
        self._cache = cache

    async def read(
        self,
        window: Window,
        room_id: str,
        since: SyncToken | None,
        *,
        until: int | None = None,
        sees: Sees | None = None,
    ) -> Timeline:
        """Read the last events of a room after `since` that the window covers.

        Args:
            window: says up to where, and how many.
            room_id: which room.
            since: where the client is in this room; None if it has nothing of it.
            until: no event beyond this position.
            sees: which events the reader may see; None for all.
        """
        gathering = _Gathering(window, room_id, sees)
        cached: Sequence[TimelineEvent] | None = None
        if since is None:
            cached = self._latest(gathering, window, room_id)
            if cached is not None:
                _take_all(gathering, cached, window.now, until)
                if not gathering.limited:  # they do not reach back far enough
                    cached, gathering = None, _Gathering(window, room_id, sees)
        elif window.now_ms - ms_of(since.highest) < MEMORY_MS_MAX:
            cached = self._cache.after(room_id, since)
            if cached is not None:
                _take_all(gathering, reversed(cached), window.now, until)
        if cached is None:
            await self._read_back(gathering, window, room_id, since, until)
        edge = window.now.highest if until is None else until
        gathering.end = gathering.end or edge
        gathering.start = gathering.start or gathering.end
        gathering.kept.reverse()
        if any(shown.is_branched for shown in gathering.kept):
            gathering.kept = await self._seen(window, room_id, gathering.kept)
        lacking = [shown for shown in gathering.kept if shown.lacks_replaced]
        if lacking:
            await self._fill_replaced(lacking)
        bundles = None
        # What has just arrived has nothing that points at it, unless that arrived since; of what was read,
        # that was read with it.
        is_known = since is not None or cached is None
        parents = [shown.event for shown in gathering.kept if not is_known or shown.is_parent]
        if parents:
            bundles = await self._reads.bundles(
                room_id, parents, window.request.requester, until=edge, now_ms=window.now_ms,
                ignored=window.user.ignored,
            )  # fmt: skip
        return Timeline(
            gathering.kept, gathering.limited, gathering.start, gathering.end, gathering.passed_over,
            list(gathering.changed.values()), list(gathering.resets.values()), bundles,
        )  # fmt: skip

    def _latest(self, gathering: _Gathering, window: Window, room_id: str) -> Sequence[TimelineEvent] | None:
        """The last events of a room, newest first, if so many as are asked for, and one more, are here."""
        if not gathering.takes_all:
            return None
        latest = self._cache.latest(room_id, gathering.left + 1)
        if latest is None or window.now_ms - ms_of(latest[-1].position) >= MEMORY_MS_MAX:
            return None
        return latest

    async def without_erased(self, kept: list[TimelineEvent], sight: Sight) -> list[TimelineEvent]:
        """Take away what erased users said when the reader was not there."""
        erased = await self._reads.erased_among({shown.event.sender for shown in kept})
        if not erased:
            return kept
        return [
            shown.pruned()
            if shown.event.sender in erased and sight.membership(shown.position) != b"join"
            else shown
            for shown in kept
        ]

    async def _seen(self, window: Window, room_id: str, kept: list[TimelineEvent]) -> list[TimelineEvent]:
        """Leave out what stands where the reader was not in the room, though it came when they were."""
        branched = [shown.event.event_id for shown in kept if shown.is_branched]
        seen = await self._reads.seen(room_id, window.user.user_id, branched)
        return [shown for shown in kept if not shown.is_branched or shown.event.event_id in seen]

    async def _read_back(
        self, gathering: _Gathering, window: Window, room_id: str, since: SyncToken | None, until: int | None
    ) -> None:
        now, reader = window.now, window.request.requester
        place = now.highest if until is None else until
        # Where nothing is kept out, no more is read than is told, and one to see whether there is more.
        count = gathering.left + 1 if gathering.takes_all else max(gathering.left + 1, PAGE_EVENTS_MIN)
        if since is not None:
            count = min(count, _expected(window, room_id, since) + 1)
        for _ in range(PAGES_MAX):
            page = await self._reads.events_until(room_id, place, count, reader)
            for shown in page:
                if since is not None and since.covers(shown.position):
                    return
                if now.covers(shown.position) and not gathering.take(shown):
                    return
            if len(page) < count:
                return
            place = page[-1].position - 1
            count = min(2 * count, PAGE_EVENTS_MAX)
        gathering.limited = True  # the filter lets too little through: the client may look further itself

    async def _fill_replaced(self, lacking: Sequence[TimelineEvent]) -> None:
        # Once per event and process: the answer stays with the cached event.
        replaced = await self._reads.events({shown.replaces for shown in lacking if shown.replaces})
        for shown in lacking:
            event = replaced.get(shown.replaces or "")
            if event is not None:
                shown.replaced_is(event)


def _expected(window: Window, room_id: str, since: SyncToken) -> int:
    """How much happened in a room at most, as far as is known."""
    recent = window.user.recent_after(since)
    if recent is None:
        return PAGE_EVENTS_MAX
    return sum([where == room_id and window.now.covers(position) for position, where in recent])


def _take_all(
    gathering: _Gathering, newest_first: Iterable[TimelineEvent], now: SyncToken, until: int | None
) -> None:
    for shown in newest_first:
        if not now.covers(shown.position) or (until is not None and shown.position > until):
            continue
        if not gathering.take(shown):
            return
