"""Which sticky events one answer tells: from memory where they are all there, else from the database.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4354

Each is told at least once to whoever is in the room, in the timeline or beside it, however old it is when
they come in. They are told in the order of the stream. When there are more than fit into one answer, its
token says up to which they were told; the rest, in all rooms, follows with the next answers.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from homeserver.core.event.sticky import sticky_until_ms
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.sync.live_stickies import LiveStickies
from homeserver.sync.live_users import LiveUser
from homeserver.sync.ports import StickyAsked, SyncReads
from homeserver.sync.timeline_event import TimelineEvent

__all__ = ["STICKY_EVENTS_MAX", "StickyEvents", "StickyLook", "StickyPart"]

STICKY_EVENTS_MAX = 100
"""Of all rooms, in one answer."""


@dataclass(slots=True)  # not frozen, for its cost
class StickyLook:
    """What one answer is about. Not to be changed.

    Attributes:
        requester: who asks.
        user: what is known of them.
        since: where the client is; None if it has nothing.
        now: up to where to tell.
        now_ms: wall time: what is over by then is not told.
        limit: so many events at most.
        fresh: rooms of which the client has nothing: everything that is sticky there is told.
        rooms: other rooms that the user is in, of which the rest is told.
        told: tells the IDs of the events in the timelines of the same answer.
    """

    requester: Requester
    user: LiveUser
    since: SyncToken | None
    now: SyncToken
    now_ms: int
    limit: int
    fresh: Collection[str]
    rooms: Collection[str]
    told: Callable[[], Collection[str]]

    @property
    def after(self) -> int:
        """The position above which there may be something to tell of `rooms`."""
        if self.since is None:
            return 0
        return self.since.lowest if self.since.sticky_after is None else self.since.sticky_after

    def is_due(self, shown: TimelineEvent, *, is_fresh: bool) -> bool:
        """Whether the client has not been told of an event, apart from this answer's timelines."""
        if not self.now.covers(shown.position) or shown.event.sender in self.user.ignored:
            return False
        if sticky_until_ms(shown.event, shown.position) <= self.now_ms:
            return False
        if is_fresh or self.since is None:
            return True
        if self.since.sticky_after is not None and shown.position > self.since.sticky_after:
            return True
        return not self.since.covers(shown.position)


@dataclass(slots=True)
class StickyPart:
    """What is told.

    Attributes:
        rooms: the events, oldest first.
        told_until: there are more; those up to this position have been told. None if there are not.
    """

    rooms: dict[str, list[TimelineEvent]] = field(default_factory=dict)
    told_until: int | None = None


class StickyEvents:
    """Finds them."""

    def __init__(self, reads: SyncReads, live: LiveStickies) -> None:
        self._reads = reads
        self._live = live

    def is_quiet(self, since: SyncToken) -> bool:
        """Whether a client who is in the same rooms as before has nothing to be told."""
        return since.sticky_after is None and self._live.is_quiet_since(since)

    async def tell(self, look: StickyLook) -> StickyPart:
        """What is to be told now."""
        lowest = 0 if look.fresh else look.after
        if self._live.knows_all_after(lowest, look.now_ms):
            due = sorted(self._from_memory(look), key=lambda shown: shown.position)
            part = _part(due, look)
        else:
            part = await self._from_storage(look)
        if look.fresh and part.rooms:
            await self._leave_out_erased(look, part)
        return part

    async def _leave_out_erased(self, look: StickyLook, part: StickyPart) -> None:
        """Tell who comes into a room nothing of what erased users said there."""
        fresh = [room_id for room_id in look.fresh if room_id in part.rooms]
        senders = {shown.event.sender for room_id in fresh for shown in part.rooms[room_id]}
        erased = await self._reads.erased_among(senders) if senders else ()
        for room_id in fresh if erased else ():
            kept = [shown for shown in part.rooms.pop(room_id) if shown.event.sender not in erased]
            if kept:
                part.rooms[room_id] = kept

    def _from_memory(self, look: StickyLook) -> Iterator[TimelineEvent]:
        for rooms, is_fresh in ((look.fresh, True), (look.rooms, False)):
            for room_id in rooms:
                for shown in self._live.of(room_id):
                    if look.is_due(shown, is_fresh=is_fresh):
                        yield shown

    async def _from_storage(self, look: StickyLook) -> StickyPart:
        if not look.fresh and not look.rooms:
            return StickyPart()
        limit = look.limit + len(look.told()) + 1  # so that it is enough whatever of it was told
        asked = StickyAsked(
            {**dict.fromkeys(look.rooms, look.after), **dict.fromkeys(look.fresh, 0)}, look.now_ms,
            look.user.ignored, limit,
        )  # fmt: skip
        read = await self._reads.sticky_events(asked, look.requester)
        due = [shown for shown in read if look.is_due(shown, is_fresh=shown.event.room_id in look.fresh)]
        part = _part(due, look)
        if part.told_until is None and len(read) == limit and look.now.covers(read[-1].position):
            part.told_until = read[-1].position
        return part


def _part(due: list[TimelineEvent], look: StickyLook) -> StickyPart:
    part = StickyPart()
    told = look.told() if due else ()
    count, last = 0, 0
    for shown in due:
        if shown.event.event_id not in told:
            if count == look.limit:
                part.told_until = last
                break
            part.rooms.setdefault(shown.event.room_id, []).append(shown)
            count += 1
        last = shown.position
    return part
