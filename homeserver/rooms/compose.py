"""From a draft to a signed event that its room allows, and to the rows that store it. No awaits here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.core.auth.check import authorize
from homeserver.core.auth.selection import StateKey, auth_types_for
from homeserver.core.changes import EventChange
from homeserver.core.content.member import membership_of
from homeserver.core.errors import Forbidden, InvalidParam
from homeserver.core.event.builder import build_event, complete_template, countersigned
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of
from homeserver.core.room_versions import RoomVersionRules
from homeserver.core.signing import SigningKey
from homeserver.rooms.actor import Extremity, RoomActor, StateEntry, Step
from homeserver.rooms.commands import Draft
from homeserver.runtime.clock import Clock
from storage.interning import Interning
from storage.state_delta import packed_key
from storage.tables.events import HIDDEN, EventFlags, EventNumbers, EventPlace, add_event
from storage.tables.graph import add_moved_event
from storage.tables.memberships import MEMBERSHIP_UPSERT
from storage.tables.relations import add_relation
from storage.tables.room_counts import add_membership_change
from storage.tables.state import add_state
from storage.tables.state_groups import add_state_group
from storage.tables.sticky_events import add_sticky_event
from storage.write import Write

__all__ = ["Composed", "Composer", "add_rows", "add_state_rows", "add_step", "intern", "known_numbers"]

MEMBER = "m.room.member"
_CREATE: StateKey = ("m.room.create", "")
_NOT_FORGOTTEN = False


@dataclass(frozen=True, slots=True)
class Composed:
    """An event of ours that its room allows.

    Attributes:
        event: the event.
        auth_nids: the numbers of its auth events.
    """

    event: Event
    auth_nids: list[int]


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

    def compose(self, room: RoomActor, draft: Draft) -> Composed:
        """Build, sign and authorise the event that would follow in the room; the room stays as it is.

        Raises:
            BadJson: the content has no canonical JSON.
            Forbidden: the room does not allow it.
            NotLoadedError: it takes state that is not at hand.
            TooLarge: the event or one of its keys is over the limit.
        """
        rules = room.rules
        keys = auth_types_for(rules, draft.type, draft.sender, draft.state_key, draft.content)
        state = room.state.select((_CREATE, *keys))
        found = [key for key in keys if key in state]
        event = build_event(
            rules=rules,
            type=draft.type,
            sender=draft.sender,
            content=draft.content,
            room_id=room.room_id or None,
            prev_events=[one.event for one in room.extremities],
            auth_events=[state[key] for key in found],
            depth=room.depth + 1,
            origin_server_ts=self._clock.now_ms(),
            server_name=self.server_name,
            signing_key=self._signing_key,
            state_key=draft.state_key,
            redacts=draft.redacts,
            sticky_ms=draft.sticky_ms,
        )
        denied = authorize(event, state)
        if denied is not None:
            raise Forbidden(denied.reason)
        return Composed(event, [room.state.nid(key) for key in found])

    def complete(
        self, template: Mapping[str, Any], rules: RoomVersionRules, room_id: str, user_id: str,
        content: Mapping[str, Any],
    ) -> Event:  # fmt: skip
        """Make the member event of a user of ours that a server in the room has sketched.

        Raises:
            BadJson, TooLarge: the content has no canonical JSON, or is too large.
            ValueError: the sketch names no place in a graph.
        """
        return complete_template(
            template, rules=rules, room_id=room_id, user_id=user_id, content=content,
            origin_server_ts=self._clock.now_ms(), server_name=self.server_name,
            signing_key=self._signing_key,
        )  # fmt: skip

    def after(self, event: Event, user_id: str, content: Mapping[str, Any]) -> Event:
        """Make a member event of a user of ours that follows another one, in a room that is not here.

        Raises:
            BadJson, TooLarge: the content has no canonical JSON, or is too large.
        """
        return build_event(
            rules=event.rules, type=MEMBER, sender=user_id, content=content, room_id=event.room_id,
            prev_events=[event], auth_events=[event], depth=event.depth + 1,
            origin_server_ts=self._clock.now_ms(), server_name=self.server_name,
            signing_key=self._signing_key, state_key=user_id,
        )  # fmt: skip

    def countersigned(self, pdu: Mapping[str, Any], rules: RoomVersionRules) -> dict[str, Any]:
        """Copy a PDU of another server with our signature beside the others.

        Raises:
            ValueError: it has no canonical JSON.
        """
        return countersigned(pdu, rules, self.server_name, self._signing_key)


def known_numbers(interning: Interning, draft: Draft) -> EventNumbers | None:
    """Number the strings of a draft from memory; None if one is not at hand."""
    type_nid = interning.known("type", draft.type)
    sender_nid = interning.known("user", draft.sender)
    if type_nid is None or sender_nid is None:
        return None
    if draft.state_key is None:
        return EventNumbers(type_nid, sender_nid)
    state_key_nid = interning.known("state_key", draft.state_key)
    if state_key_nid is None:
        return None
    if draft.type != MEMBER:
        return EventNumbers(type_nid, sender_nid, state_key_nid)
    member_nid = interning.known("user", draft.state_key)
    return None if member_nid is None else EventNumbers(type_nid, sender_nid, state_key_nid, member_nid)


async def intern(interning: Interning, drafts: list[Draft]) -> list[EventNumbers]:
    """Number the strings of drafts, giving new numbers where needed.

    Raises:
        InvalidParam: a type or state key holds NUL, which PostgreSQL has no text with.
    """
    if any("\0" in draft.type or "\0" in (draft.state_key or "") for draft in drafts):
        raise InvalidParam("The type and the state key of an event must not hold the character NUL.")
    types = await interning.nids("type", {draft.type for draft in drafts})
    named = {draft.state_key for draft in drafts if draft.type == MEMBER and draft.state_key is not None}
    users = await interning.nids("user", {draft.sender for draft in drafts} | named)
    keys = await interning.nids("state_key", {d.state_key for d in drafts if d.state_key is not None})
    return [
        EventNumbers(
            types[draft.type],
            users[draft.sender],
            None if draft.state_key is None else keys[draft.state_key],
            users[draft.state_key] if draft.type == MEMBER and draft.state_key is not None else None,
        )
        for draft in drafts
    ]


def add_step(
    write: Write, room: RoomActor, composed: Composed, numbers: EventNumbers, position: int, *,
    server_name: str, is_withheld: bool = False,
) -> tuple[EventChange, Step]:  # fmt: skip
    """Add an event of ours, which follows all that is in the room; returns what it makes of the room.

    Raises:
        NotLoadedError: what it replaces is not at hand.
    """
    event, chain = composed.event, room.chain
    entries = []
    if event.state_key is not None:
        assert numbers.state_key_nid is not None
        room.state.select([(event.type, event.state_key)])
        entries = [StateEntry((event.type, event.state_key), numbers, event, position)]
        planned = chain.plan({packed_key(numbers.type_nid, numbers.state_key_nid): position})
        if not planned.is_step:
            add_state_group(write, room.room_nid, position, planned)
        chain = chain.after(position, planned)
    flags = EventFlags.WITHHELD if is_withheld else EventFlags.NONE
    place = EventPlace(position, room.chain.group, composed.auth_nids, flags, room.retention_class)
    add_rows(write, room, event, numbers, place)
    change = EventChange(
        position, event.room_id, event, state_group=room.chain.group, is_withheld=is_withheld,
        is_made_here=True,
    )  # fmt: skip
    write.changes.append(change)
    add_state_rows(write, room, change, entries, server_name=server_name)
    return change, Step(event, position, chain, entries, (Extremity(event, chain.group),))


def add_rows(
    write: Write, room: RoomActor, event: Event, numbers: EventNumbers, place: EventPlace,
    *, outlier_nid: int | None = None,
) -> None:  # fmt: skip
    """Add the rows of an event to a write; of one that was an outlier, that it has its place now."""
    if outlier_nid is None:
        add_event(write, event, room.room_nid, numbers, place)
    else:
        add_moved_event(write, event, room.room_nid, outlier_nid, place)
    add_sticky_event(write, event, room_nid=room.room_nid, position=place.position, flags=place.flags)
    if not place.flags & HIDDEN:  # what clients are not shown points at nothing for them
        add_relation(
            write, event, position=place.position, room_nid=room.room_nid, sender_nid=numbers.sender_nid,
            type_nid=numbers.type_nid,
        )  # fmt: skip


def add_state_rows(
    write: Write, room: RoomActor, change: EventChange, entries: list[StateEntry], *, server_name: str,
    before: int | None = None,
) -> None:  # fmt: skip
    """Add what an event changes of the current state; call before the room takes it in.

    Args:
        write: takes the rows.
        room: the room as it is.
        change: the event.
        entries: what it changes.
        server_name: ours.
        before: the place from where on all the rest is the state; None: the place of the event.

    Raises:
        NotLoadedError: what is replaced is not at hand.
    """
    event = change.event
    change.is_current = event.state_key is None
    resets, removed = [], []
    for entry in entries:
        numbers, replaced, position = entry.numbers, room.state.get(entry.key), change.position
        if before is not None and entry.event is not event:
            position = before
        assert numbers.state_key_nid is not None
        if entry.event is event:
            change.is_current = True
            change.replaced = replaced
            change.replaces = None if replaced is None else replaced.event_id
            if numbers.member_nid is not None and replaced is not None:
                change.previous_membership = membership_of(replaced)
        elif entry.event is None:
            removed.append(entry.key)
        else:
            resets.append(entry.event)
        add_state(
            write, room_nid=room.room_nid, type_nid=numbers.type_nid, state_key_nid=numbers.state_key_nid,
            position=position, nid=entry.nid or None,
        )  # fmt: skip
        if numbers.member_nid is not None:
            is_local = server_name_of(entry.key[1]) == server_name
            event_id = "" if entry.event is None else entry.event.event_id
            write.add(
                MEMBERSHIP_UPSERT, room.room_nid, numbers.member_nid, membership_of(entry.event), event_id,
                position, _NOT_FORGOTTEN, is_local,
            )  # fmt: skip
            add_membership_change(
                write, room.room_nid, before=membership_of(replaced), now=membership_of(entry.event),
                is_local=is_local,
            )  # fmt: skip
    change.resets, change.removed = tuple(resets), tuple(removed)
