"""Reading what surrounds an event.

Spec: https://spec.matrix.org/v1.19/client-server-api/#event-context
"""

from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.core.event.format import client_event
from homeserver.core.event.pdu import Event
from homeserver.core.filters import RoomEventFilter, event_passes, room_passes
from homeserver.core.positions import pagination_token
from homeserver.core.requester import Requester
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.past import OlderHistory, Past
from homeserver.rooms.sight import Sight
from homeserver.rooms.state_lists import StateLists
from homeserver.rooms.timeline import Stretch, Timeline, VisibleRoom
from storage.tables.events import StoredEvent
from storage.tables.state import State

__all__ = ["Context", "Contexts"]

_MEMBER = "m.room.member"


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds an event, encoded.

    Attributes:
        start: token that leads back from the first of the events.
        end: token that leads on from the last of them.
        event: the event.
        events_before: the latest first.
        events_after: the oldest first.
        state: the state at the last of the events: in pieces to be joined by commas.
    """

    start: str
    end: str
    event: bytes
    events_before: Sequence[bytes]
    events_after: Sequence[bytes]
    state: Sequence[bytes]


class Contexts:
    """Reads contexts for those who may see them.

    Args:
        timeline: what there is to see.
        state: the state then.
        client_events: encodes events.
        lists: reads the whole of that state.
        sight: knows the state after events that are older than all that was here.
        older: has those come.
    """

    def __init__(
        self, *, timeline: Timeline, state: State, client_events: ClientEvents, lists: StateLists,
        sight: Sight, older: OlderHistory,
    ) -> None:  # fmt: skip
        self._sight = sight
        self._older = older
        self._timeline = timeline
        self._lists = lists
        self._state = state
        self._client_events = client_events

    async def around(
        self, requester: Requester, room_id: str, event_id: str, *, limit: int, wanted: RoomEventFilter
    ) -> Context:
        """Read an event and what is just before and after it.

        Args:
            requester: the reader.
            room_id: the room.
            event_id: the event.
            limit: at most so many events beside it.
            wanted: which events, and which state.

        Raises:
            Forbidden: the user may not see the room.
            NotFound: there is no such event, or not for this user.
        """
        room = await self._timeline.room(requester, room_id)
        stored = await self._timeline.event(room, event_id)
        place = stored.position
        back = Stretch("b", place - 1, None, limit // 2, wanted)
        before, earlier = await self._timeline.read(room, back)
        if earlier is None and len(before) < limit // 2 and await self._older.fetch(room_id) is Past.MORE:
            before, _ = await self._timeline.read(room, back)
        ahead = Stretch("f", place, room.view.until, limit - len(before) if limit else 0, wanted)
        after, _ = await self._timeline.read(room, ahead)
        shown = [*before, stored, *after]
        encoded = await self._client_events.encode(shown, requester, room.history, until=room.view.until)
        last = after[-1] if after else stored
        first = before[-1] if before else stored
        return Context(
            start=pagination_token(first.position - 1),
            end=pagination_token(last.position),
            event=encoded[len(before)],
            events_before=encoded[: len(before)],
            events_after=encoded[len(before) + 1 :],
            state=await self._state_at(room, last, shown, wanted),
        )

    async def _state_at(
        self, room: VisibleRoom, last: StoredEvent, shown: Sequence[StoredEvent], wanted: RoomEventFilter
    ) -> list[bytes]:
        position = last.position
        if not room_passes(wanted, room.view.room.room_id):
            return []

        def passes(event: Event) -> bool:
            return event_passes(wanted, event.type, event.sender, event.content)

        if position < 0:  # the changes of the state begin with what is here
            members = sorted({one.event.sender for one in shown}) if wanted.lazy_load_members else None
            then = await self._sight.whole_state_after(last, members=members)
            return [client_event(event) for event in then if passes(event)]
        if wanted.lazy_load_members:
            senders = sorted({one.event.sender for one in shown})
            state = await self._state.at(room.room_nid, position, not_types=(_MEMBER,))
            state += await self._state.at_of_keys(
                room.room_nid, position, [(_MEMBER, sender) for sender in senders]
            )
            passing = [one for one in state if passes(one.event)]
            return await self._client_events.encode(passing, room.requester, room.history)
        return await self._lists.encoded(room.requester, room.view, position=position, is_wanted=passes)
