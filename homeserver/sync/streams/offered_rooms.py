"""The rooms that the user may come into: `rooms.invite`, and those asked to be let into: `rooms.knock`."""

import orjson

from homeserver.core.event.format import stripped_state_event
from homeserver.core.event.stripped import SHOWN
from homeserver.runtime.together import side_by_side
from homeserver.sync.body import Body
from homeserver.sync.live_users import LiveUser
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import Window
from homeserver.sync.room_of_user import changes_of, changes_until_going
from homeserver.sync.room_state import MEMBER
from homeserver.sync.spans import Section, Span

__all__ = ["OfferedRooms"]

_OFFERED = frozenset({Section.INVITE, Section.KNOCK})


class OfferedRooms:
    """Tells what someone outside of a room may know of it."""

    def __init__(self, reads: SyncReads) -> None:
        self._reads = reads

    async def complete(self, window: Window, spans: list[Span], body: Body) -> None:
        """Every room with an invite or a knock that stands."""
        offered = [span for span in spans if span.section in _OFFERED]
        parts = await side_by_side(self._offered(window, span) for span in offered)
        for span, part in zip(offered, parts, strict=True):
            if part is not None:
                rooms = body.invited if span.section is Section.INVITE else body.knocked
                rooms[span.room_id] = part

    async def incremental(self, window: Window, spans: list[Span], body: Body) -> None:
        """The rooms with an invite or a knock since; where an invite is not told, that the room was left."""
        await self.complete(window, spans, body)
        for place, span in enumerate(spans):
            if span.section is Section.INVITE and span.was_joined and span.room_id not in body.invited:
                went = await self._went(window, span)
                if went is not None:
                    spans[place] = Span(span.room_id, Section.LEAVE, went, anew=span.anew)

    async def _went(self, window: Window, span: Span) -> int | None:
        """Where the user last went out of a room; None if the client knows that, or it is still to come."""
        history = await self._reads.membership_history(span.room_id, window.user.user_id)
        changes = changes_until_going(changes_of(history), span.position)
        assert window.since is not None, "an increment has a beginning"
        return None if not changes or window.since.covers(changes[-1][0]) else changes[-1][0]

    async def stripped(self, user: LiveUser, room_id: str, position: int) -> list[bytes] | None:
        """What the user may know of a room by their member event there; None if they want to hear nothing."""
        user_id = user.user_id
        told = await self._reads.offer(room_id, user_id, position)
        if told is not None:
            return await self._told_elsewhere(user, room_id, position, told)
        state = await self._reads.state_at(room_id, position, members=[user_id])
        own = next((e.sender for e in state if e.type == MEMBER and e.state_key == user_id), user_id)
        if own in user.ignored:
            return None
        inviter = await self._reads.members_at(room_id, position, [own]) if own != user_id else ()
        events = [event for event in state if event.type in SHOWN or event.type == MEMBER]
        return [stripped_state_event(event) for event in (*inviter, *events)]

    async def _told_elsewhere(
        self, user: LiveUser, room_id: str, position: int, told: bytes
    ) -> list[bytes] | None:
        """The same of a room that is not here: what another server told of it, and their member event."""
        own = await self._reads.members_at(room_id, position, [user.user_id])
        if any(event.sender in user.ignored for event in own):
            return None
        others = [
            entry
            for entry in orjson.loads(told)
            if (entry["type"], entry["state_key"]) != (MEMBER, user.user_id)
        ]
        return [orjson.dumps(entry) for entry in others] + [stripped_state_event(event) for event in own]

    async def _offered(self, window: Window, span: Span) -> bytes | None:
        name = b"invite_state" if span.section is Section.INVITE else b"knock_state"
        if span.section is Section.INVITE and window.user.blocks_invites:
            return None
        parts = await self.stripped(window.user, span.room_id, span.position)
        return None if parts is None else b'"%b":{"events":[%b]}' % (name, b",".join(parts))
