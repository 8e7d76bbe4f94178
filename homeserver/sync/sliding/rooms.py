"""Makes the entries of rooms: those the user is in, those they were in, and those they may come into."""

from collections.abc import Iterable
from dataclasses import dataclass

from homeserver.core.event.pdu import Event
from homeserver.core.positions import SyncToken
from homeserver.runtime.together import side_by_side
from homeserver.sync.bump_stamps import bump_stamp_of
from homeserver.sync.live_users import RoomOfUser
from homeserver.sync.members import RoomMembers, Summary
from homeserver.sync.ports import SyncReads
from homeserver.sync.sight import Sight, Sights
from homeserver.sync.sliding.connections import RoomSent
from homeserver.sync.sliding.entry import (
    BUMPING,
    Entry,
    avatar_part,
    heroes_part,
    name_part,
    required_state_part,
    timeline_part,
)
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.required_state import AVATAR, NAME, Asked, Key, RequiredStates, Told
from homeserver.sync.sliding.room_config import LAZY, MEMBER, RoomConfig
from homeserver.sync.streams.offered_rooms import OfferedRooms
from homeserver.sync.timeline import Timeline, Timelines

__all__ = ["RoomEntries"]

LAZILY = (MEMBER, LAZY)
LOOK_BACK_EVENTS_MAX = 100
"""For the last event that moves a room up. Further back, the user's coming in counts."""


@dataclass(slots=True)
class _Begun:
    """A room that is told whole, half done."""

    room: RoomOfUser
    asked: Asked
    sight: Sight | None
    summary: Summary | None


class RoomEntries:
    """Makes entries."""

    def __init__(
        self, *, reads: SyncReads, timelines: Timelines, states: RequiredStates, members: RoomMembers
    ) -> None:
        self._reads = reads
        self._timelines = timelines
        self._states = states
        self._members = members
        self._sights = Sights(reads)
        self._offered = OfferedRooms(reads)

    async def entry(
        self, look: Look, room: RoomOfUser, config: RoomConfig, sent: RoomSent | None
    ) -> tuple[Entry | None, RoomSent]:
        """What is to be told of a room, if anything; and what the connection has of it then."""
        bound = None if sent is None else sent.until or look.since
        if room.membership in {"invite", "knock"}:
            return await self._offer(look, room, config, bound)
        if room.membership == "join":
            return await self._told(look, room, config, sent, bound)
        if await self._went(look, room):
            return await self._told(look, room, config, sent, bound)
        if bound is not None and bound.covers(room.position):
            return None, RoomSent(None, config.timeline_limit, config.tuples)
        return await self._from_outside(look, room, config)

    async def _offer(
        self, look: Look, room: RoomOfUser, config: RoomConfig, bound: SyncToken | None
    ) -> tuple[Entry | None, RoomSent]:
        # Nothing of the room itself was told: whoever comes in is told all of it.
        sent = RoomSent(None, config.timeline_limit, config.tuples)
        if bound is not None and bound.covers(room.position):
            return None, sent
        stripped = await self._offered.stripped(look.user, room.room_id, room.position)
        if stripped is None:
            return None, sent
        entry = Entry([b'"initial":true'], is_initial=True)
        self._add_marks(look, room, entry)
        entry.parts.append(b'"bump_stamp":%d' % bump_stamp_of(room.position))
        entry.parts.append(b'"invite_state":[%b]' % b",".join(stripped))
        return entry, sent

    async def _went(self, look: Look, room: RoomOfUser) -> bool:
        """Whether the user was in the room right up to the member event that says that they are not."""
        history = await self._reads.membership_history(room.room_id, look.user.user_id)
        before = [membership for position, membership in history if position < room.position]
        return bool(before) and before[-1] == "join"

    async def _from_outside(
        self, look: Look, room: RoomOfUser, config: RoomConfig
    ) -> tuple[Entry | None, RoomSent]:
        """An invite turned down or taken back, a ban of someone outside: the member event alone.

        What the room has become since they were in it, if they ever were, is not for them to see.
        """
        own = await self._reads.members_at(room.room_id, room.position, [look.user.user_id])
        entry = Entry([b'"initial":true'], is_initial=True)
        entry.parts.append(b'"bump_stamp":%d' % bump_stamp_of(room.position))
        entry.parts.append(required_state_part(own))
        return entry, RoomSent(None, config.timeline_limit, config.tuples)

    async def _told(
        self, look: Look, room: RoomOfUser, config: RoomConfig, sent: RoomSent | None, bound: SyncToken | None
    ) -> tuple[Entry | None, RoomSent]:
        if bound is None or sent is None or await self._is_anew(look, room, bound):
            return await self._whole(look, room, config)
        room_id, limit = room.room_id, config.timeline_limit
        is_expanded = limit > sent.timeline_limit
        window = look.window(limit, bound)
        timeline, sight = await self._timeline(look, room, limit, None if is_expanded else bound)
        until = None if room.membership == "join" else room.position
        earlier = None
        if LAZILY in config.tuples and LAZILY not in sent.required:
            earlier, _ = await self._timeline(look, room, sent.timeline_limit, None)
        state = await self._states.delta(
            window, room_id, timeline, config, sent, until=until, earlier=earlier
        )
        # A short answer with a gap takes back what was told further; one without leaves it as it was.
        kept_limit = limit if is_expanded or timeline.limited else max(limit, sent.timeline_limit)
        tuples = sent.required if sent.required == config.tuples else config.tuples
        after = RoomSent(None, kept_limit, tuples, state.lazy)
        if not (timeline.events or timeline.limited or state.events or state.changed or is_expanded):
            return None, after
        return await self._changed(look, room, timeline, sight, state, is_expanded=is_expanded), after

    async def whole(
        self, look: Look, rooms: Iterable[tuple[RoomOfUser, RoomConfig]]
    ) -> dict[str, tuple[Entry | None, RoomSent]]:
        """What is told of rooms that the user is in and the connection has nothing of, read together."""
        begun = await side_by_side(self._begin(look, room, config) for room, config in rooms)
        known = await self._states.ahead(look.now, [one.asked for one in begun])
        told = await side_by_side(self._finish(look, one, known.get(one.room.room_id)) for one in begun)
        return {one.room.room_id: each for one, each in zip(begun, told, strict=True)}

    async def _whole(self, look: Look, room: RoomOfUser, config: RoomConfig) -> tuple[Entry | None, RoomSent]:
        return await self._finish(look, await self._begin(look, room, config), None)

    async def _begin(self, look: Look, room: RoomOfUser, config: RoomConfig) -> _Begun:
        timeline, sight = await self._timeline(look, room, config.timeline_limit, None)
        summary = None
        heroes: list[Key] = []
        if room.membership == "join":
            summary = await self._members.summary(room.room_id, look.user.user_id)
            heroes = [(MEMBER, user_id) for user_id in summary.heroes]
        return _Begun(room, Asked(room.room_id, timeline, config, heroes), sight, summary)

    async def _finish(
        self, look: Look, begun: _Begun, known: dict[Key, Event] | None
    ) -> tuple[Entry | None, RoomSent]:
        room, asked, summary = begun.room, begun.asked, begun.summary
        timeline, config = asked.timeline, asked.config
        state = await self._states.complete(asked, known)
        entry = Entry([b'"initial":true'], is_whole=True, is_initial=True)
        entry.parts += name_part(state.known.get(NAME))
        if AVATAR in state.known:
            entry.parts.append(avatar_part(state.known[AVATAR]))
        if summary is not None:
            _add_members(entry, summary, state.known)
        self._add_marks(look, room, entry)
        entry.parts.append(required_state_part(state.events))
        self._add_timeline(look, entry, timeline, begun.sight)
        await self._add_bump_stamp(look, room, entry, timeline, must=True)
        return entry, RoomSent(None, config.timeline_limit, config.tuples, state.lazy)

    async def _changed(
        self, look: Look, room: RoomOfUser, timeline: Timeline, sight: Sight | None, state: Told,
        *, is_expanded: bool,
    ) -> Entry:  # fmt: skip
        changed = state.changed or {}
        entry = Entry(is_whole=is_expanded)
        if NAME in changed:
            entry.parts += name_part(changed[NAME])
        if AVATAR in changed:
            entry.parts.append(avatar_part(changed[AVATAR]))
        if room.membership == "join" and any(type_ == MEMBER for type_, _ in changed):
            summary = await self._members.summary(room.room_id, look.user.user_id)
            keys = [NAME, *[(MEMBER, user_id) for user_id in summary.heroes]]
            known = await self._states.members(room.room_id, timeline.end, keys)
            _add_members(entry, summary, known)
        if state.events:
            entry.parts.append(required_state_part(state.events))
        if is_expanded:
            entry.parts.append(b'"unstable_expanded_timeline":true')
        self._add_timeline(look, entry, timeline, sight)
        must = timeline.limited or room.membership != "join"
        await self._add_bump_stamp(look, room, entry, timeline, must=must)
        return entry

    async def _timeline(
        self, look: Look, room: RoomOfUser, limit: int, bound: SyncToken | None
    ) -> tuple[Timeline, Sight | None]:
        """The timeline of a room the user is in, or was in, up to the going."""
        room_id, window = room.room_id, look.window(limit, bound)
        if room.membership != "join":
            sight = await self._sights.of(room_id, look.user.user_id)
            timeline = await self._timelines.read(
                window, room_id, bound, until=room.position, sees=sight.sees
            )
        else:
            timeline = await self._timelines.read(window, room_id, bound)
            if bound is not None or all(shown.position >= room.position for shown in timeline.events):
                return timeline, None
            # Some of it is from before the user's last member event: may the user see that?
            sight = await self._sights.of(room_id, look.user.user_id)
            if not all(sight.sees(shown.position) for shown in timeline.events):
                timeline = await self._timelines.read(window, room_id, None, sees=sight.sees)
        timeline.events = await self._timelines.without_erased(timeline.events, sight)
        return timeline, sight

    async def _is_anew(self, look: Look, room: RoomOfUser, bound: SyncToken) -> bool:
        """Whether the user was not in the room, or not all the time, since the client was told of it."""
        if bound.covers(room.position):
            return False
        changes = room.changes_after(bound)
        if changes is not None:
            if not changes:
                return False
            before: str | None = changes[0][1]
            after = [membership for _, _, membership in changes]
        else:
            history = [
                one
                for one in await self._reads.membership_history(room.room_id, look.user.user_id)
                if one[0] <= room.position
            ]
            before = next((held for position, held in reversed(history) if bound.covers(position)), None)
            after = [held for position, held in history if not bound.covers(position)]
        if room.membership != "join":
            after = after[:-1]  # a going that follows upon having been there goes on with the timeline
        return before != "join" or any(membership != "join" for membership in after)

    @staticmethod
    def _add_marks(look: Look, room: RoomOfUser, entry: Entry) -> None:
        if room.room_id in look.marks.direct:
            entry.parts.append(b'"is_dm":true')

    @staticmethod
    def _add_timeline(look: Look, entry: Entry, timeline: Timeline, sight: Sight | None) -> None:
        entry.parts.append(timeline_part(look, timeline, sight))
        entry.parts.append(b'"notification_count":0,"highlight_count":0')
        entry.event_ids = frozenset([shown.event.event_id for shown in timeline.events])

    async def _add_bump_stamp(
        self, look: Look, room: RoomOfUser, entry: Entry, timeline: Timeline, *, must: bool
    ) -> None:
        position = room.position
        if room.membership == "join":
            bumping = [shown.position for shown in timeline.events if shown.event.type in BUMPING]
            if bumping:
                position = bumping[-1]
            elif not must:
                return
            else:
                earlier = await self._reads.events_until(
                    room.room_id, timeline.start, LOOK_BACK_EVENTS_MAX, look.requester
                )
                ignored = look.user.ignored
                position = next(
                    (
                        one.position
                        for one in earlier
                        if one.event.type in BUMPING
                        and not one.is_withheld
                        and (one.event.sender not in ignored or one.event.state_key is not None)
                    ),
                    position,
                )
        entry.parts.append(b'"bump_stamp":%d' % bump_stamp_of(position))


def _add_members(entry: Entry, summary: Summary, state: dict[tuple[str, str], Event]) -> None:
    if not name_part(state.get(NAME)):
        entry.parts.append(heroes_part(summary, state))
    entry.parts.append(b'"joined_count":%d,"invited_count":%d' % (summary.joined, summary.invited))
