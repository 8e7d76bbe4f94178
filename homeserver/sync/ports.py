"""What sync reads when its caches do not know: the rows that the writers committed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from homeserver.core.changes import AccountDataChange, ReceiptChange, ThreadSubscriptionChange
from homeserver.core.event.pdu import Event
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.sync.device_ports import DeviceReads
from homeserver.sync.timeline_event import TimelineEvent

__all__ = ["MembershipRow", "StickyAsked", "SyncReads"]


@dataclass(frozen=True, slots=True)
class MembershipRow:
    """A user's membership of a room, as it is now.

    Attributes:
        position: of the member event that says so.
        forgotten: the user left and wants to hear no more of the room.
    """

    room_id: str
    membership: str
    position: int
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class StickyAsked:
    """Which sticky events to read.

    Attributes:
        after: the rooms, by ID, each with the position above which to read.
        now_ms: what was over by then is left out.
        ignored: so is what these users sent.
        limit: so many at most, the oldest.
    """

    after: Mapping[str, int]
    now_ms: int
    ignored: Collection[str]
    limit: int


class SyncReads(Protocol):
    """Reads from the primary database. Rows may be ahead of what was published: readers check positions."""

    @property
    def devices(self) -> DeviceReads:
        """The reads of devices and their keys."""

    async def heads(self) -> SyncToken:
        """The last position of every writer there ever was."""

    async def memberships_of(self, user_id: str) -> Sequence[MembershipRow]:
        """Every room of a user."""

    async def last_positions(self, room_ids: Collection[str]) -> dict[str, int]:
        """The position of the last event of each room."""

    async def places_after(
        self, until: Mapping[str, int], position: int, limit: int
    ) -> Sequence[tuple[int, str]]:
        """The places (position, room ID) of events and receipts above a position, the latest, oldest first.

        Args:
            until: the rooms, by ID, each with the position beyond which nothing counts.
            position: where to begin.
            limit: at most so many.
        """

    async def members_of(self, room_id: str, count_max: int) -> Sequence[tuple[str, str, int]] | None:
        """(user ID, membership, position) of everybody who ever was in a room, by position.

        None if these are more than `count_max`.
        """

    async def members_in_short(self, room_id: str, count_max: int) -> tuple[list[str], int, int]:
        """Some of those who are in a room or invited, how many have joined, and how many are invited.

        Where only one is left, some of those who went are named as well.
        """

    async def joined_counts(self, room_ids: Collection[str]) -> dict[str, int]:
        """How many are in each of some rooms."""

    async def events_until(
        self, room_id: str, position: int, count_max: int, reader: Requester
    ) -> Sequence[TimelineEvent]:
        """The last events of a room's timeline at or before `position`, newest first.

        Those that the reader's session sent carry their transaction IDs.
        """

    async def state_at(
        self, room_id: str, position: int, *, members: Collection[str] | None = None
    ) -> Sequence[Event]:
        """The state of a room after the event at `position`, or the last one before it.

        Args:
            room_id: the room.
            position: a place in its timeline.
            members: None: the member events of all; else only those of these users.
        """

    async def members_at(self, room_id: str, position: int, user_ids: Collection[str]) -> Sequence[Event]:
        """The member events of some users as of `position`."""

    async def offer(self, room_id: str, user_id: str, position: int) -> bytes | None:
        """What a user was told of a room that is not here, with the member event at `position`.

        Stripped state, as a JSON array; None of rooms that are here.
        """

    async def state_changes(self, room_id: str, after: int, until: int) -> Sequence[tuple[int, Event]]:
        """State events with `after` < position ≤ `until`: the last of each type and state key."""

    async def membership_history(self, room_id: str, user_id: str) -> Sequence[tuple[int, str]]:
        """Every membership that a user had in a room, oldest first."""

    async def visibility_history(self, room_id: str) -> Sequence[tuple[int, str]]:
        """Every history visibility that a room had, oldest first."""

    async def events(self, event_ids: Collection[str]) -> dict[str, Event]:
        """Events by ID, those that are there."""

    async def bundles(
        self, room_id: str, events: Sequence[Event], reader: Requester, *, until: int, now_ms: int,
        ignored: Collection[str],
    ) -> Mapping[str, bytes]:  # fmt: skip
        """The `m.relations` of those events that have any, encoded, by event ID.

        Args:
            room_id: the room of all of them.
            events: of its timeline.
            reader: who is told only of what they may see.
            until: nothing above this position counts.
            now_ms: wall time, for ages.
            ignored: what these users sent does not count.
        """

    async def account_data_after(self, user_id: str, after: int) -> Sequence[AccountDataChange]:
        """All account data of a user that was set or deleted above a position, by position."""

    async def account_data_of_rooms(
        self, user_id: str, room_ids: Collection[str]
    ) -> Sequence[AccountDataChange]:
        """All account data of a user for some rooms, also what is deleted, by position."""

    async def receipts_of(self, room_id: str, after: int) -> Sequence[ReceiptChange]:
        """The receipts of a room above a position, the latest ones of very many, by position."""

    async def seen(self, room_id: str, user_id: str, event_ids: Collection[str]) -> Collection[str]:
        """Those of several events that a user may see, by the state before each of them."""

    async def erased_among(self, user_ids: Collection[str]) -> Collection[str]:
        """Those of some users who were erased: only who was there sees what they said."""

    async def account_data_of_types(
        self, user_id: str, types: Collection[str]
    ) -> Sequence[AccountDataChange]:
        """Global account data of a user of some types, also what is deleted."""

    async def sticky_events(self, asked: StickyAsked, reader: Requester) -> Sequence[TimelineEvent]:
        """What is sticky now in some rooms, by position; with what is told to the session that sent it."""

    async def thread_changes(
        self, user_id: str, after: int, until: int, limit: int
    ) -> Sequence[ThreadSubscriptionChange]:
        """The last change of each of a user's threads with `after` < position ≤ `until`, newest first."""

    async def to_device(
        self, user_id: str, device_id: str, after: int, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """What waits for a device above a position, oldest first: (position, event as JSON)."""
