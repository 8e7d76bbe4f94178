"""The state of one room in one window: whole for a room that is new to the client, else what changed."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from homeserver.core.event.pdu import Event
from homeserver.core.filters import event_passes, room_passes
from homeserver.core.positions import SyncToken
from homeserver.sync.lazy_members import LazyMembers
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import Window
from homeserver.sync.timeline import Timeline

__all__ = ["RoomStates"]

MEMBER = "m.room.member"


class RoomStates:
    """Finds the state events that go with a timeline.

    They are those before the timeline's first event; or, if the client asks for the state *after*, those up
    to its end.
    """

    def __init__(self, reads: SyncReads, lazy_members: LazyMembers) -> None:
        self._reads = reads
        self._lazy_members = lazy_members

    async def complete(
        self,
        window: Window,
        room_id: str,
        timeline: Timeline,
        heroes: Sequence[str] = (),
        *,
        everyone: AbstractSet[str] | None = None,
        since: SyncToken | None = None,
    ) -> list[Event]:
        """The whole state; with lazy loading only the members that the client needs to show the timeline.

        Args:
            window: what is asked for.
            room_id: the room.
            timeline: what is told of it.
            heroes: the members by whom the room is named.
            everyone: all members, past ones too, if that is known.
            since: from when the client may know members: those who changed after it are told, too.
        """
        request = window.request
        wanted = request.filter.room.state
        edge = timeline.end if request.use_state_after else timeline.start
        members: set[str] | None = None
        if wanted.lazy_load_members:
            members = {window.user.user_id, *heroes, *_senders(timeline)}
            if since is not None:
                members |= await self._members_changed(room_id, since, edge)
            if everyone is not None and everyone <= members:
                members = None  # all of them speak, as in most small rooms: that is the simpler question
        events = list(await self._reads.state_at(room_id, edge, members=members))
        if not request.use_state_after:
            events = _with(events, [shown.event for shown in reversed(timeline.passed_over)])
            events = _with(events, timeline.resets)
        if wanted.lazy_load_members:
            self._tell(window, room_id, events)
        return self._filtered(window, room_id, events)

    async def delta(self, window: Window, room_id: str, timeline: Timeline) -> list[Event]:
        """What changed between `since` and the timeline, and members that its senders need."""
        changes = await self.changes(window, room_id, timeline)
        speakers = await self.speakers(window, room_id, timeline, changes)
        return self.told(window, room_id, [*changes, *speakers])

    async def changes(self, window: Window, room_id: str, timeline: Timeline) -> list[Event]:
        """What changed between `since` and the timeline, before any filter."""
        since = window.since
        assert since is not None, "a delta has a beginning"
        request = window.request
        events: list[Event] = []
        if timeline.limited:
            # A gap: whatever changed in it, members included, told already or not.
            changes = await self._reads.state_changes(room_id, since.lowest, timeline.start)
            events = [event for position, event in changes if not since.covers(position)]
        events = _with([], events)
        events = _with(events, [shown.event for shown in reversed(timeline.passed_over)])
        return _with(events, timeline.changed if request.use_state_after else timeline.resets)

    async def _members_changed(self, room_id: str, since: SyncToken, until: int) -> set[str]:
        changes = await self._reads.state_changes(room_id, since.lowest, until)
        return {
            event.state_key
            for position, event in changes
            if event.type == MEMBER and event.state_key is not None and not since.covers(position)
        }

    async def speakers(
        self, window: Window, room_id: str, timeline: Timeline, changes: Iterable[Event]
    ) -> Sequence[Event]:
        """The members who speak in the timeline and whom a lazily loading client lacks still."""
        if not window.request.filter.room.state.lazy_load_members:
            return ()
        there = {event.state_key for event in changes if event.type == MEMBER}
        return await self._untold(window, room_id, timeline, _senders(timeline) - there)

    def told(self, window: Window, room_id: str, events: list[Event]) -> list[Event]:
        """What of these events is told, once it is remembered which members are."""
        if window.request.filter.room.state.lazy_load_members:
            self._tell(window, room_id, events)
        return self._filtered(window, room_id, events)

    async def heroes(
        self, window: Window, room_id: str, timeline: Timeline, heroes: Iterable[str], told: Iterable[Event]
    ) -> list[Event]:
        """The members by whom the room is named that a lazily loading client lacks, beside what is told."""
        there = {event.state_key for event in told if event.type == MEMBER}
        there |= {shown.event.state_key for shown in timeline.events if shown.event.type == MEMBER}
        events = list(await self._untold(window, room_id, timeline, set(heroes) - there))
        self._tell(window, room_id, events)
        return self._filtered(window, room_id, events)

    async def _untold(
        self, window: Window, room_id: str, timeline: Timeline, user_ids: Iterable[str]
    ) -> Sequence[Event]:
        request, senders = window.request, user_ids
        if not request.filter.room.state.include_redundant_members:
            session_id = request.requester.session_id
            senders = self._lazy_members.untold(session_id, room_id, senders, window.since)
        if not senders:
            return ()
        edge = timeline.end if request.use_state_after else timeline.start
        return await self._reads.members_at(room_id, edge, list(senders))

    def _tell(self, window: Window, room_id: str, events: Iterable[Event]) -> None:
        told = [event.state_key for event in events if event.type == MEMBER and event.state_key is not None]
        self._lazy_members.tell(window.request.requester.session_id, room_id, told, window.next_batch)

    @staticmethod
    def _filtered(window: Window, room_id: str, events: list[Event]) -> list[Event]:
        wanted = window.request.filter.room.state
        if not room_passes(wanted, room_id):
            return []
        if not wanted.passes_all:
            events = [e for e in events if event_passes(wanted, e.type, e.sender, e.content)]
        return events if wanted.limit is None else events[: wanted.limit]


def _senders(timeline: Timeline) -> set[str]:
    return {shown.event.sender for shown in timeline.events}


def _with(events: Iterable[Event], later: Sequence[Event]) -> list[Event]:
    """Put later state events over earlier ones: one for each type and state key."""
    if not later:
        return list(events)  # nearly always, and they may be 100,000
    state = {(event.type, event.state_key): event for event in events}
    for event in later:
        state[event.type, event.state_key] = event
    return list(state.values())
