"""What a room shows of itself to those who are not in it, and who may have that shown.

The room directory, the hierarchy of spaces and single summaries all show the same.
Spec: https://spec.matrix.org/v1.19/client-server-api/#room-summaries
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.core.content.create import room_type_of
from homeserver.core.content.history_visibility import WORLD_READABLE, history_visibility_of
from homeserver.core.content.join_rules import (
    PUBLIC,
    allowed_rooms,
    is_restricted,
    join_rule_of,
    lets_knock,
)
from homeserver.core.content.member import BAN, INVITE, JOIN, KNOCK, LEAVE
from homeserver.core.errors import InvalidParam, NotFound
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_room_id
from homeserver.core.requester import Requester
from homeserver.core.room_versions import RoomVersionRules, rules_for
from homeserver.rooms.remote_summaries import RemoteSummaryReader
from homeserver.rooms.room_names import VIA_MAX, RoomNames
from storage.interning import Interning
from storage.tables.room_cards import RoomCardRow, RoomCards
from storage.tables.shared_rooms import SharedRooms

__all__ = ["RoomSummaries", "RoomSummary", "SummaryReader", "summarize"]

_TYPES = (
    "m.room.create", "m.room.name", "m.room.topic", "m.room.avatar", "m.room.canonical_alias",
    "m.room.join_rules", "m.room.history_visibility", "m.room.guest_access", "m.room.encryption",
)  # fmt: skip
_PRESENT = frozenset((JOIN, INVITE, KNOCK))
_PLAIN_TEXT = "text/plain"


@dataclass(frozen=True, slots=True)
class RoomSummary:
    """A room's summary.

    Attributes:
        room_nid: number of the room.
        room_id: its ID.
        rules: of its version.
        joined: how many are in it.
        shown: name, topic, canonical alias, avatar and type, as far as it has them.
        join_rule: how one comes in.
        allowed_room_ids: whose members may come in, if the join rule is restricted.
        is_world_readable: whether everybody may read it.
        guests_can_join: whether guests may.
        encryption: the algorithm, if it is encrypted.
    """

    room_nid: int
    room_id: str
    rules: RoomVersionRules
    joined: int
    shown: Mapping[str, str]
    join_rule: str
    allowed_room_ids: Sequence[str]
    is_world_readable: bool
    guests_can_join: bool
    encryption: str | None

    @property
    def room_type(self) -> str | None:
        """The type, e.g. `m.space`."""
        return self.shown.get("room_type")

    @property
    def is_open(self) -> bool:
        """Whether anybody may read it, come in, or ask to be let in."""
        lets_in = self.join_rule == PUBLIC or lets_knock(self.join_rule, self.rules)
        return self.is_world_readable or lets_in

    def directory_entry(self) -> dict[str, Any]:
        """What the room directory shows."""
        return {
            "room_id": self.room_id,
            "num_joined_members": self.joined,
            "world_readable": self.is_world_readable,
            "guest_can_join": self.guests_can_join,
            "join_rule": self.join_rule,
            **self.shown,
        }

    def body(self) -> dict[str, Any]:
        """All of it."""
        body = {**self.directory_entry(), "room_version": self.rules.version}
        if self.encryption is not None:
            body["encryption"] = self.encryption
        if self.allowed_room_ids:
            body["allowed_room_ids"] = list(self.allowed_room_ids)
        return body

    def shows_itself_to(self, membership: str | None, allowing: Mapping[str, str]) -> bool:
        """Say whether somebody may have it shown.

        Args:
            membership: theirs, in this room.
            allowing: theirs, in the rooms whose members may come in.
        """
        if membership in _PRESENT or self.is_world_readable:
            return True
        if membership == BAN:
            return False
        return self.is_open or any(allowing.get(room_id) == JOIN for room_id in self.allowed_room_ids)


def summarize(row: RoomCardRow, state: Mapping[str, Event]) -> RoomSummary | None:
    """Make a room's summary of its state events by type; None for a room that was never created."""
    create, rules = state.get("m.room.create"), rules_for(row.version)
    if create is None or rules is None:
        return None
    shown = {
        "name": _text(state, "m.room.name", "name"),
        "topic": _topic(state.get("m.room.topic")),
        "avatar_url": _text(state, "m.room.avatar", "url"),
        "canonical_alias": _text(state, "m.room.canonical_alias", "alias"),
        "room_type": room_type_of(create),
    }
    join_rules = state.get("m.room.join_rules")
    join_rule = join_rule_of(join_rules)
    visibility = history_visibility_of(state.get("m.room.history_visibility"))
    return RoomSummary(
        room_nid=row.room_nid,
        room_id=row.room_id,
        rules=rules,
        joined=row.joined,
        shown={key: value for key, value in shown.items() if value},
        join_rule=join_rule,
        allowed_room_ids=allowed_rooms(join_rules) if is_restricted(join_rule, rules) else (),
        is_world_readable=visibility == WORLD_READABLE,
        guests_can_join=_text(state, "m.room.guest_access", "guest_access") == "can_join",
        encryption=_text(state, "m.room.encryption", "algorithm"),
    )


def _text(state: Mapping[str, Event], event_type: str, key: str) -> str | None:
    event = state.get(event_type)
    value = None if event is None else event.content.get(key)
    return value if isinstance(value, str) else None


def _topic(event: Event | None) -> str | None:
    """The topic in plain text, which may be written in either of two ways."""
    if event is None:
        return None
    topic = event.content.get("topic")
    if isinstance(topic, str):
        return topic
    block = event.content.get("m.topic")
    texts = block.get("m.text") if isinstance(block, dict) else None
    for text in texts if isinstance(texts, list) else ():
        if isinstance(text, dict) and text.get("mimetype", _PLAIN_TEXT) == _PLAIN_TEXT:
            body = text.get("body")
            if isinstance(body, str):
                return body
    return None


class RoomSummaries:
    """Makes summaries, for several rooms at once.

    Args:
        cards: what describes rooms.
        shared_rooms: who is in them.
        interning: numbers of users.
    """

    def __init__(self, *, cards: RoomCards, shared_rooms: SharedRooms, interning: Interning) -> None:
        self._cards = cards
        self._shared_rooms = shared_rooms
        self._interning = interning

    async def of_rows(self, rows: Iterable[RoomCardRow]) -> dict[str, RoomSummary]:
        """Make the summaries of rooms, by room ID, in the order of the rows."""
        by_nid = {row.room_nid: row for row in rows}
        states: dict[int, dict[str, Event]] = {room_nid: {} for room_nid in by_nid}
        for stored in await self._cards.state(list(by_nid), _TYPES) if by_nid else ():
            states[stored.room_nid][stored.event.type] = stored.event
        summaries = [summarize(row, states[room_nid]) for room_nid, row in by_nid.items()]
        return {summary.room_id: summary for summary in summaries if summary is not None}

    async def known(self, room_ids: Sequence[str]) -> dict[str, RoomSummary]:
        """Make the summaries of those rooms that are known here, by room ID."""
        return await self.of_rows(await self._cards.by_ids(room_ids))

    async def memberships(self, user_id: str, room_ids: Sequence[str]) -> dict[str, str]:
        """Tell a user's membership of those rooms where they have any."""
        users = await self._interning.existing("user", (user_id,))
        if user_id not in users or not room_ids:
            return {}
        return await self._shared_rooms.memberships(users[user_id], room_ids)

    async def shown_to_server(self, server: str, room_ids: Sequence[str]) -> dict[str, RoomSummary]:
        """Make the summaries of those rooms that a user of a server could see, by room ID."""
        summaries = await self.known(room_ids)
        closed = [one for one in summaries.values() if not one.is_open]
        asked = {room_id for one in closed for room_id in (one.room_id, *one.allowed_room_ids)}
        memberships = await self._shared_rooms.memberships_of_server(server, list(asked)) if asked else {}
        return {
            room_id: summary
            for room_id, summary in summaries.items()
            if summary.shows_itself_to(memberships.get(room_id), memberships)
        }

    async def shown_to(self, user_id: str, room_ids: Sequence[str]) -> dict[str, RoomSummary]:
        """Make the summaries of those rooms that show themselves to a user, by room ID."""
        summaries = await self.known(room_ids)
        allowing = {one for summary in summaries.values() for one in summary.allowed_room_ids}
        asked = list({*summaries, *allowing})
        memberships = await self.memberships(user_id, asked)
        return {
            room_id: summary
            for room_id, summary in summaries.items()
            if summary.shows_itself_to(memberships.get(room_id), memberships)
        }


class SummaryReader:
    """Reads the summary of one room for whoever may have it shown.

    Args:
        summaries: makes it.
        names: finds rooms by alias.
        elsewhere: rooms that are not here.
    """

    def __init__(
        self, *, summaries: RoomSummaries, names: RoomNames, elsewhere: RemoteSummaryReader
    ) -> None:
        self._summaries = summaries
        self._names = names
        self._elsewhere = elsewhere

    async def read(
        self, requester: Requester | None, room: str, via: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Read the summary of a room, given its ID or an alias; `requester` is None for one without login.

        Args:
            requester: who asks.
            room: ID or alias.
            via: servers that may know it.

        Raises:
            InvalidParam: it is neither.
            NotFound: there is no such room here, or it does not show itself: which of them is not told.
        """
        room_id, servers = await self._find(room, via)
        summary = (await self._summaries.known([room_id])).get(room_id)
        if summary is not None and requester is None and summary.is_open:
            return summary.body()
        if summary is not None and requester is not None:
            asked = [room_id, *summary.allowed_room_ids]
            memberships = await self._summaries.memberships(requester.user_id, asked)
            if summary.shows_itself_to(memberships.get(room_id), memberships):
                return {**summary.body(), "membership": memberships.get(room_id, LEAVE)}
        if summary is None and requester is not None:  # others are not asked for whoever comes along
            found = await self._elsewhere.find(room_id, servers)
            if found is not None:
                asked = [room_id, *found.allowed_room_ids]
                memberships = await self._summaries.memberships(requester.user_id, asked)
                if found.shows_itself_to(memberships):
                    return {**found.body, "membership": memberships.get(room_id, LEAVE)}
        raise NotFound("There is no such room, or it shows itself to its members only.")

    async def _find(self, room: str, via: Sequence[str]) -> tuple[str, Sequence[str]]:
        if room.startswith("#"):
            return await self._names.find(room, via)
        try:
            parse_room_id(room)
        except ValueError as error:
            raise InvalidParam(f"Give a room ID or an alias. {error}") from None
        return room, via[:VIA_MAX]
