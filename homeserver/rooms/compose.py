"""From a draft to a signed event that its room allows, and to the rows that store it. No awaits here."""

from dataclasses import dataclass

from homeserver.core.auth.check import authorize
from homeserver.core.auth.selection import auth_types_for
from homeserver.core.changes import EventChange
from homeserver.core.content.member import membership_of
from homeserver.core.errors import Forbidden
from homeserver.core.event.builder import build_event
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of
from homeserver.core.signing import SigningKey
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.runtime.clock import Clock
from storage.interning import Interning
from storage.tables.events import add_event
from storage.tables.memberships import MEMBERSHIP_UPSERT
from storage.tables.state import add_state
from storage.write import Write

__all__ = ["Composer", "Numbers", "add_rows", "intern", "known_numbers"]

MEMBER = "m.room.member"
_NOT_FORGOTTEN = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """What storage calls the strings of an event.

    Attributes:
        type_nid: of the type.
        sender_nid: of the sender.
        state_key_nid: of the state key, if it has one.
        member_nid: of the user whom a member event is about.
    """

    type_nid: int
    sender_nid: int
    state_key_nid: int | None = None
    member_nid: int | None = None


class Composer:
    """Makes the events of this server's users.

    Args:
        server_name: ours.
        signing_key: ours.
        clock: for `origin_server_ts`.
    """

    def __init__(self, *, server_name: str, signing_key: SigningKey, clock: Clock) -> None:
        self.server_name = server_name
        self._signing_key = signing_key
        self._clock = clock

    def now_ms(self) -> int:
        """Tell the time by the clock that events are stamped with."""
        return self._clock.now_ms()

    def compose(self, room: RoomActor, draft: Draft) -> Event:
        """Build, sign and authorise the event that would follow in the room; the room stays as it is.

        Raises:
            BadJson: the content has no canonical JSON.
            Forbidden: the room does not allow it.
            TooLarge: the event or one of its keys is over the limit.
        """
        rules, state = room.rules, room.state
        keys = auth_types_for(rules, draft.type, draft.sender, draft.state_key, draft.content)
        event = build_event(
            rules=rules,
            type=draft.type,
            sender=draft.sender,
            content=draft.content,
            room_id=room.room_id or None,
            prev_events=room.extremities,
            auth_events=[state[key] for key in keys if key in state],
            depth=room.depth + 1,
            origin_server_ts=self._clock.now_ms(),
            server_name=self.server_name,
            signing_key=self._signing_key,
            state_key=draft.state_key,
            redacts=draft.redacts,
        )
        denied = authorize(event, state)
        if denied is not None:
            raise Forbidden(denied.reason)
        return event


def known_numbers(interning: Interning, draft: Draft) -> Numbers | None:
    """Number the strings of a draft from memory; None if one is not at hand."""
    type_nid = interning.known("type", draft.type)
    sender_nid = interning.known("user", draft.sender)
    if type_nid is None or sender_nid is None:
        return None
    if draft.state_key is None:
        return Numbers(type_nid, sender_nid)
    state_key_nid = interning.known("state_key", draft.state_key)
    if state_key_nid is None:
        return None
    if draft.type != MEMBER:
        return Numbers(type_nid, sender_nid, state_key_nid)
    member_nid = interning.known("user", draft.state_key)
    return None if member_nid is None else Numbers(type_nid, sender_nid, state_key_nid, member_nid)


async def intern(interning: Interning, drafts: list[Draft]) -> list[Numbers]:
    """Number the strings of drafts, giving new numbers where needed."""
    types = await interning.nids("type", {draft.type for draft in drafts})
    named = {draft.state_key for draft in drafts if draft.type == MEMBER and draft.state_key is not None}
    users = await interning.nids("user", {draft.sender for draft in drafts} | named)
    keys = await interning.nids("state_key", {d.state_key for d in drafts if d.state_key is not None})
    return [
        Numbers(
            types[draft.type],
            users[draft.sender],
            None if draft.state_key is None else keys[draft.state_key],
            users[draft.state_key] if draft.type == MEMBER and draft.state_key is not None else None,
        )
        for draft in drafts
    ]


def add_rows(
    write: Write, room: RoomActor, event: Event, numbers: Numbers, position: int, *, server_name: str
) -> EventChange:
    """Add the rows and the change of an event to a write; call before the room takes the event in."""
    add_event(
        write, event, position=position, room_nid=room.room_nid, type_nid=numbers.type_nid,
        sender_nid=numbers.sender_nid, state_key_nid=numbers.state_key_nid,
    )  # fmt: skip
    change = EventChange(position, event.room_id, event)
    state_key, state_key_nid = event.state_key, numbers.state_key_nid
    if state_key is not None and state_key_nid is not None:
        replaced = room.state.get((event.type, state_key))
        if replaced is not None:
            change.replaces = replaced.event_id
            change.replaced = replaced
        add_state(
            write, room_nid=room.room_nid, type_nid=numbers.type_nid, state_key_nid=state_key_nid,
            event_id=event.event_id, position=position, replaced_event_id=change.replaces,
        )  # fmt: skip
        if numbers.member_nid is not None:
            change.previous_membership = None if replaced is None else membership_of(replaced)
            is_local = server_name_of(state_key) == server_name
            write.add(
                MEMBERSHIP_UPSERT, room.room_nid, numbers.member_nid, membership_of(event), event.event_id,
                position, _NOT_FORGOTTEN, is_local,
            )  # fmt: skip
    write.changes.append(change)
    return change
