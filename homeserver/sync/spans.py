"""How a user's membership of each room moved between two tokens: which section of a sync it belongs to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from homeserver.core.filters import room_passes
from homeserver.runtime.together import side_by_side
from homeserver.sync.live_users import MembershipChange, RoomOfUser
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import Window
from homeserver.sync.room_of_user import changes_of

__all__ = ["Section", "Span", "settled_spans", "spans_of"]


class Section(Enum):
    """The sections of `rooms` in a sync."""

    JOIN = "join"
    INVITE = "invite"
    KNOCK = "knock"
    LEAVE = "leave"


_SECTIONS = {
    "join": Section.JOIN,
    "invite": Section.INVITE,
    "knock": Section.KNOCK,
    "leave": Section.LEAVE,
    "ban": Section.LEAVE,
}
_GONE_BEFORE = frozenset({None, "ban", "leave"})


@dataclass(slots=True)  # not frozen, for its cost
class Span:
    """One room in one window. Not to be changed.

    Attributes:
        room_id: which room.
        section: where it belongs.
        position: of the user's last member event in the window or before it.
        anew: the client has no connected view of the room: it needs the state whole.
        was_joined: the user was in the room at some time between the tokens.
        is_back: the user was in the room at the first token, left, and is back; clients hear of no leaving.
    """

    room_id: str
    section: Section
    position: int
    anew: bool = False
    was_joined: bool = True
    is_back: bool = False


def settled_spans(window: Window) -> list[Span] | None:
    """The rooms with news, if the user is in each of them and was before; None if it takes a closer look."""
    since = window.since
    if since is None or window.request.full_state:
        return None
    recent = window.user.recent_after(since)
    if recent is None:
        return None
    rooms = window.user.rooms
    found = []
    for room_id in dict.fromkeys([room_id for _, room_id in _told(window, recent)]):
        room = rooms.get(room_id)
        if room is None or room.membership != "join" or not since.covers(room.position):
            return None
        if room_passes(window.request.filter.room, room_id):
            found.append(Span(room_id, Section.JOIN, room.position))
    return found


async def spans_of(window: Window, reads: SyncReads) -> list[Span]:
    """Every room of which the window may have something to tell."""
    found, unsettled = [], []
    for room in await _candidates(window, reads):
        if not room_passes(window.request.filter.room, room.room_id):
            continue
        if room.membership == "join" and _settled(window, room):
            found.append(Span(room.room_id, Section.JOIN, room.position))
            continue
        unsettled.append(room)
    spans = await side_by_side(_span_of(window, room, reads) for room in unsettled)
    return found + [span for span in spans if span is not None]


def _settled(window: Window, room: RoomOfUser) -> bool:
    """The membership did not change in the window."""
    return window.since is not None and window.since.covers(room.position)


async def _candidates(window: Window, reads: SyncReads) -> Iterable[RoomOfUser]:
    rooms = window.user.rooms
    since = window.since
    if since is None or window.request.full_state:
        return list(rooms.values())
    recent = window.user.recent_after(since)
    if recent is None:
        # Back after a while, or after a restart: one look at which rooms have had news at all.
        every = list(rooms.values())
        last = await reads.last_positions([room.room_id for room in every if room.membership == "join"])
        return [
            room
            for room in every
            if not since.covers(room.position) or not since.covers(last.get(room.room_id, 0))
        ]
    changed = dict.fromkeys(room_id for _, room_id in _told(window, recent))
    return [rooms[room_id] for room_id in changed if room_id in rooms]


def _told(window: Window, recent: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Where something happened in the window: less than has happened, where only a page of it is told."""
    page = window.request.events_max
    if not page or len(recent) <= page:
        return recent
    return [place for place in recent if window.now.covers(place[0])]


async def _span_of(window: Window, room: RoomOfUser, reads: SyncReads) -> Span | None:
    since = window.since
    if since is None:
        return await _complete_span(window, room, reads)
    known = room.changes_after(since)
    if known is None:
        known = [change for change in await _history(window, room, reads) if not since.covers(change[0])]
    changes = [change for change in known if window.now.covers(change[0])]
    if not changes:
        # What is yet to come is told with the next window; until then the membership is what it was before.
        held = known[0][1] if known else room.membership
        return Span(room.room_id, Section.JOIN, room.position) if held == "join" else None
    before, (position, _, membership) = changes[0][1], changes[-1]
    section = _SECTIONS.get(membership)
    was_joined = before == "join" or any(after == "join" for _, _, after in changes)
    if section is Section.JOIN:
        anew = before != "join" or any(after != "join" for _, _, after in changes)
        is_back = anew and before == "join"
        return Span(room.room_id, Section.JOIN, position, anew=anew, is_back=is_back)
    if section is Section.LEAVE and before is None and not was_joined and membership != "ban":
        return None  # came and went between two syncs; the client never knew of the room
    if section is None or (room.is_forgotten and before in _GONE_BEFORE):
        return None  # a client that may show it still hears of the leaving, although it was forgotten
    anew = before != "join" or any(after == "join" and held != "join" for _, held, after in changes)
    return Span(room.room_id, section, position, anew=anew, was_joined=was_joined)


async def _complete_span(window: Window, room: RoomOfUser, reads: SyncReads) -> Span | None:
    if room.is_forgotten:
        return None
    position, membership = room.position, room.membership
    if not window.now.covers(position):
        known = [change for change in await _history(window, room, reads) if window.now.covers(change[0])]
        if not known:
            return None
        position, _, membership = known[-1]
    section = _SECTIONS.get(membership)
    if section is None or (section is Section.LEAVE and not window.request.filter.room.include_leave):
        return None
    return Span(room.room_id, section, position, anew=True)


async def _history(window: Window, room: RoomOfUser, reads: SyncReads) -> Sequence[MembershipChange]:
    return changes_of(await reads.membership_history(room.room_id, window.user.user_id))
