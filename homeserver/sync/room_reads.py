"""The reads of single rooms, from PostgreSQL; those that are asked at the same time go together."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing

from homeserver.core.changes import ReceiptChange
from homeserver.core.event.pdu import Event
from homeserver.core.requester import Requester
from homeserver.core.room_versions import RoomVersionRules
from homeserver.runtime.together import Together
from homeserver.sync.timeline_event import TimelineEvent
from storage.interning import Interning
from storage.pool import Database
from storage.tables import receipts
from storage.tables.events import EventFlags, Events
from storage.tables.many_rooms import KeyAsked, ManyRooms, PageAsked, Place, Shown
from storage.tables.memberships import Memberships
from storage.tables.relations import Relations
from storage.tables.remote_offers import stripped_of
from storage.tables.rooms import RoomRow, Rooms
from storage.tables.state import State, StateChange
from storage.tables.transactions import Transactions, transaction_id_in

__all__ = ["RoomReads"]

RECEIPTS_PER_ROOM_MAX = 1_000
"""Told to a client that is new to a room: who has read lately."""

PAGE_EVENTS_AT_ONCE_MAX = 20_000
"""What one question reads at most, though of one room all that is asked for; the rest is another question."""

MEMBER = "m.room.member"
POSITION_MIN = -(2**63)
_BRANCHED = int(EventFlags.BRANCHED)

_Page = tuple[str, int, int, Requester]
_Keys = Sequence[tuple[str, str]]


class RoomReads:
    """Reads of rooms, each as if it were alone; see `homeserver.sync.ports.SyncReads`."""

    def __init__(self, database: Database, interning: Interning) -> None:
        self._database = database
        self._interning = interning
        self._events = Events(database)
        self._rooms = Rooms(database)
        self._state = State(database, self._events)
        self._memberships = Memberships(database)
        self._relations = Relations(database, interning)
        self._transactions = Transactions(database)
        self._many = ManyRooms(database, self._events)
        self._of_room: Together[str, RoomRow] = Together(self._rooms_of)
        self._pages: Together[_Page, Sequence[TimelineEvent]] = Together(self._read_pages)
        self._states: Together[tuple[str, int], list[Event]] = Together(self._read_states)
        self._parts: Together[tuple[str, int, Collection[str]], list[Event]] = Together(self._read_parts)
        self._pieces: Together[tuple[str, int, _Keys], list[Event]] = Together(self._read_pieces)
        self._histories: Together[tuple[str, str, str], Sequence[StateChange]] = Together(self._read_history)
        self._members: Together[tuple[str, int], list[tuple[str, str, int]]] = Together(self._read_members)
        self._receipts: Together[tuple[str, int], Sequence[ReceiptChange]] = Together(self._read_receipts)
        self._offers: Together[tuple[str, str, int], bytes | None] = Together(self._read_offers)
        self._parents: Together[tuple[str, Sequence[str]], set[str]] = Together(self._read_parents)

    async def room(self, room_id: str) -> RoomRow:
        """The row of a room; of one that is not stored, a row of which nothing is found."""
        return await self._of_room.ask(room_id)

    async def events_until(
        self, room_id: str, position: int, count_max: int, reader: Requester
    ) -> Sequence[TimelineEvent]:
        """The last events of a room's timeline at or before `position`, newest first."""
        return await self._pages.ask((room_id, position, count_max, reader))

    async def state_at(self, room_id: str, position: int) -> list[Event]:
        """The whole state just after a position."""
        return await self._states.ask((room_id, position))

    async def part_at(self, room_id: str, position: int, members: Collection[str]) -> list[Event]:
        """The same, of members only these."""
        return await self._parts.ask((room_id, position, members))

    async def pieces_at(self, room_id: str, position: int, keys: _Keys) -> list[Event]:
        """Pieces of the state just after a position."""
        return await self._pieces.ask((room_id, position, keys))

    async def history_of(self, room_id: str, type_: str, state_key: str) -> Sequence[StateChange]:
        """Every change of one piece of the state, oldest first."""
        return await self._histories.ask((room_id, type_, state_key))

    async def members_of(self, room_id: str, count_max: int) -> list[tuple[str, str, int]]:
        """(user ID, membership, position) of members of a room by position; of any, if there are more."""
        return await self._members.ask((room_id, count_max))

    async def receipts_of(self, room_id: str, after: int) -> Sequence[ReceiptChange]:
        """The receipts of a room above a position, the latest ones of very many, by position."""
        return await self._receipts.ask((room_id, after))

    async def offer(self, room_id: str, user_id: str, position: int) -> bytes | None:
        """What a user was told of a room that is not here: stripped state, as a JSON array."""
        return await self._offers.ask((room_id, user_id, position))

    async def parents_among(self, room_id: str, event_ids: Sequence[str]) -> set[str]:
        """Those of some events of a room that others point at."""
        return await self._parents.ask((room_id, event_ids))

    async def _rooms_of(self, room_ids: Sequence[str]) -> list[RoomRow]:
        found = await self._rooms.find_all(room_ids)
        return [found.get(room_id) or _no_room(room_id) for room_id in room_ids]

    async def _nids(self, room_ids: Sequence[str]) -> dict[str, int]:
        return {room.room_id: room.room_nid for room in await self._rooms_of(room_ids)}

    async def _read_pages(self, asked: Sequence[_Page]) -> list[Sequence[TimelineEvent]]:
        rooms = await self._rooms_of([room_id for room_id, *_ in asked])
        nids = [room.room_nid for room in rooms]
        pages = await self._read_stored_pages(
            [PageAsked(nid, one[1], one[2]) for nid, one in zip(nids, asked, strict=True)],
            [room.rules for room in rooms],
        )
        states = {
            Place(nid, one.position)
            for nid, page in zip(nids, pages, strict=True)
            for one in page
            if one.event.state_key is not None
        }
        replaced = await self._many.replaced(list(states)) if states else {}
        spans = [
            (nid, page[-1].position if len(page) == count_max else POSITION_MIN, position)
            for nid, (_, position, count_max, _), page in zip(nids, asked, pages, strict=True)
        ]
        resets = await self._many.resets(spans)
        keys: dict[int, dict[str, str]] = {}
        delay_ids: dict[int, dict[str, str]] = {}
        for session_id, (user_id, of_session) in _by_reader(asked, pages).items():
            own = [one for one in of_session if one.event.sender == user_id]
            keys[session_id] = await self._transactions.of_events(
                session_id, [one.event.event_id for one in own], [one.position for one in own]
            )
            others = [one.event.event_id for one in own if one.event.event_id not in keys[session_id]]
            delay_ids[session_id] = await self._transactions.delay_ids(session_id, others)
        return [
            _shown(
                page,
                nid,
                replaced,
                of_page,
                one[3].session_id,
                keys=keys[one[3].session_id],
                delay_ids=delay_ids[one[3].session_id],
            )
            for one, nid, page, of_page in zip(asked, nids, pages, resets, strict=True)
        ]

    async def _read_stored_pages(
        self, asked: Sequence[PageAsked], rules: Sequence[RoomVersionRules]
    ) -> list[list[Shown]]:
        if sum(one.count_max for one in asked) <= PAGE_EVENTS_AT_ONCE_MAX or len(asked) == 1:
            return await self._many.pages(asked, rules)
        half = len(asked) // 2
        return [
            *await self._read_stored_pages(asked[:half], rules[:half]),
            *await self._read_stored_pages(asked[half:], rules[half:]),
        ]

    async def _read_states(self, asked: Sequence[tuple[str, int]]) -> list[list[Event]]:
        rooms = await self._rooms_of([room_id for room_id, _ in asked])
        places = _places(rooms, [position for _, position in asked])
        found = await self._many.states(places, [room.rules for room in rooms])
        return [
            await self._page_by_page(place.room_nid, place.position) if state is None else state
            for place, state in zip(places, found, strict=True)
        ]

    async def _page_by_page(self, room_nid: int, position: int) -> list[Event]:
        """Read all of a large state in steps, and do in each what takes longest of telling it."""
        events = []
        async with aclosing(self._state.pages(room_nid, position)) as pages:
            async for page in pages:
                for stored in page:
                    assert stored.event.sync_prefix, "encoded now, and once"
                    events.append(stored.event)
        return events

    async def _read_parts(self, asked: Sequence[tuple[str, int, Collection[str]]]) -> list[list[Event]]:
        rooms = await self._rooms_of([room_id for room_id, *_ in asked])
        types = await self._interning.existing("type", (MEMBER,))
        user_ids = set().union(*[members for *_, members in asked])
        nids = await self._interning.existing("state_key", user_ids)
        keys = [[nids[user_id] for user_id in members if user_id in nids] for *_, members in asked]
        places = _places(rooms, [position for _, position, _ in asked])
        found = await self._many.states_but_for(
            places, types.get(MEMBER, 0), keys, [room.rules for room in rooms]
        )
        return [
            await self._part_of_large(place, members) if state is None else state
            for place, (*_, members), state in zip(places, asked, found, strict=True)
        ]

    async def _part_of_large(self, place: Place, members: Collection[str]) -> list[Event]:
        others = await self._state.at(place.room_nid, place.position, not_types=(MEMBER,))
        keys = [(MEMBER, user_id) for user_id in members]
        some = await self._state.at_of_keys(place.room_nid, place.position, keys)
        return [stored.event for stored in (*others, *some)]

    async def _read_pieces(self, asked: Sequence[tuple[str, int, _Keys]]) -> list[list[Event]]:
        rooms = await self._rooms_of([room_id for room_id, *_ in asked])
        types, state_keys = await self._numbers({key for *_, keys in asked for key in keys})
        wanted = [
            [
                (types[type_], state_keys[state_key])
                for type_, state_key in keys
                if type_ in types and state_key in state_keys
            ]
            for *_, keys in asked
        ]
        if not any(wanted):
            return [[] for _ in asked]
        places = _places(rooms, [position for _, position, _ in asked])
        return await self._many.pieces(places, wanted, [room.rules for room in rooms])

    async def _read_history(self, asked: Sequence[tuple[str, str, str]]) -> list[Sequence[StateChange]]:
        nids = await self._nids([room_id for room_id, *_ in asked])
        types, state_keys = await self._numbers([(type_, state_key) for _, type_, state_key in asked])
        return list(
            await self._many.histories(
                # No number is 0: nothing has what has no number.
                [KeyAsked(nids[one[0]], types.get(one[1], 0), state_keys.get(one[2], 0)) for one in asked]
            )
        )

    async def _numbers(
        self, keys: Collection[tuple[str, str]]
    ) -> tuple[Mapping[str, int], Mapping[str, int]]:
        types = await self._interning.existing("type", {type_ for type_, _ in keys})
        return types, await self._interning.existing("state_key", {state_key for _, state_key in keys})

    async def _read_members(self, asked: Sequence[tuple[str, int]]) -> list[list[tuple[str, str, int]]]:
        nids = await self._nids([room_id for room_id, _ in asked])
        limit = max(count_max for _, count_max in asked)
        return await self._memberships.bare_of_rooms([nids[room_id] for room_id, _ in asked], limit=limit)

    async def _read_receipts(self, asked: Sequence[tuple[str, int]]) -> list[Sequence[ReceiptChange]]:
        nids = await self._nids([room_id for room_id, _ in asked])
        rooms = [(nids[room_id], room_id, after) for room_id, after in asked]
        return list(await receipts.of_rooms(self._database, rooms, limit=RECEIPTS_PER_ROOM_MAX))

    async def _read_offers(self, asked: Sequence[tuple[str, str, int]]) -> list[bytes | None]:
        return await stripped_of(self._database, asked)

    async def _read_parents(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[set[str]]:
        nids = await self._nids([room_id for room_id, _ in asked])
        found = await self._relations.parents_among(
            [(nids[room_id], event_id) for room_id, event_ids in asked for event_id in event_ids]
        )
        return [found.intersection(event_ids) for _, event_ids in asked]


def _no_room(room_id: str) -> RoomRow:
    # No number is 0: nothing has what has no number. The version does not matter then.
    return RoomRow(0, room_id, "12", creator_nid=0, created_ms=0, is_public=False)


def _by_reader(
    asked: Sequence[_Page], pages: Sequence[Sequence[Shown]]
) -> dict[int, tuple[str, list[Shown]]]:
    readers: dict[int, tuple[str, list[Shown]]] = {}
    for (*_, reader), page in zip(asked, pages, strict=True):
        readers.setdefault(reader.session_id, (reader.user_id, []))[1].extend(page)
    return readers


def _shown(
    page: Sequence[Shown], room_nid: int, replaced: Mapping[Place, str | None],
    resets: dict[int, list[Event]], session_id: int, *, keys: Mapping[str, str], delay_ids: Mapping[str, str],
) -> Sequence[TimelineEvent]:  # fmt: skip
    found = []
    for position, event, flags, has_children in page:
        shown = TimelineEvent(position, event)
        shown.is_parent = has_children
        if event.state_key is not None:
            place = Place(room_nid, position)
            shown.is_current = place in replaced
            shown.replaces = replaced.get(place)
        if event.event_id in keys:
            shown.session_id = session_id
            shown.transaction_id = transaction_id_in(keys[event.event_id], event.room_id, event.type)
        elif event.event_id in delay_ids:
            shown.session_id, shown.delay_id = session_id, delay_ids[event.event_id]
        if flags & _BRANCHED:
            shown.is_branched = True
        if resets:
            shown.resets = tuple(resets.pop(position, ()))
        found.append(shown)
    if resets:  # of events that are not shown
        found += [TimelineEvent.of_resets(place, events) for place, events in resets.items()]
        found.sort(key=lambda shown: shown.position, reverse=True)
    return found


def _places(rooms: Sequence[RoomRow], positions: Sequence[int]) -> list[Place]:
    return [Place(room.room_nid, position) for room, position in zip(rooms, positions, strict=True)]
