"""What one server is still to be sent: what is next, what it lacks, and what of that is to be noted. No I/O.

An event that was just committed waits here as it is, as long as the server keeps up. Where it does not (it
fails, or takes too long) only the room is remembered, and from which position on the server lacks its events:
these are read from the room when their turn comes. That, and nothing else, is also what is stored.
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice

from federation.sender.ephemeral_queue import EphemeralQueue
from homeserver.core.event.pdu import Event
from homeserver.core.positions import POSITION_MAX

__all__ = ["Behind", "Notes", "Queue", "QueuedEvent", "Transaction"]

EVENTS_QUEUED_MAX = 500
PDUS_PER_TRANSACTION_MAX = 50
EDUS_PER_TRANSACTION_MAX = 100
PIECES_MAX = PDUS_PER_TRANSACTION_MAX + EDUS_PER_TRANSACTION_MAX


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event that a server is to be sent."""

    position: int
    room_id: str
    event: Event


@dataclass(slots=True, eq=False)
class Behind:
    """Events of a room that a server may lack.

    Attributes:
        start: position of the first.
        latest: of the last that is known; more may be there.
        told: how many came since; tells whether what was read is all.
        noted: the start as it is stored.
        is_trimmed: it was looked whether there are more than are worth being sent.
    """

    start: int
    latest: int = POSITION_MAX
    told: int = 0
    noted: int | None = None
    is_trimmed: bool = False

    @property
    def is_noted(self) -> bool:
        """Whether no crash would make it forgotten."""
        return self.noted is not None and self.noted <= self.start


@dataclass(frozen=True, slots=True, eq=False)
class Transaction:
    """A transaction that was put together; it stays as it is, however often it has to be sent.

    Attributes:
        transaction_id: ours, never used again.
        body: as it is sent: canonical JSON.
        events: those in it.
        edus: how many.
        messages: positions of the messages for devices in it.
        users: whose device lists are told, as of which change.
        started_ms: when it was made.
    """

    transaction_id: str
    body: bytes
    events: Sequence[QueuedEvent]
    edus: int
    messages: Sequence[int]
    users: dict[str, int]
    started_ms: int

    @property
    def pieces(self) -> int:
        """How many PDUs and EDUs it has."""
        return len(self.events) + self.edus


@dataclass(slots=True)
class Notes:
    """What is to be stored of a queue: the rooms and users that are pending, and those that are done."""

    rooms: dict[str, int] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    rooms_done: set[str] = field(default_factory=set)
    users_done: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        """How many rows that are."""
        return len(self.rooms) + len(self.users) + len(self.rooms_done) + len(self.users_done)


class Queue:
    """What one server is to be sent.

    Attributes:
        name: of the server.
        live: events that were committed just now, in their order.
        behind: what it lacks, by room.
        users: whose device lists it is to be told, since which change.
        ephemeral: what is worth nothing later.
        has_messages: messages for its devices are stored.
        in_flight: the transaction that it has not acknowledged.
        pieces_max: so many PDUs and EDUs a transaction has at most: fewer after one that it did not take.
        is_noted: there is nothing for `notes` to tell: all that it lacks need not be looked through then.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.live: deque[QueuedEvent] = deque()
        self.behind: dict[str, Behind] = {}
        self.users: dict[str, int] = {}
        self.ephemeral = EphemeralQueue()
        self.has_messages = False
        self.in_flight: Transaction | None = None
        self.pieces_max = PIECES_MAX
        self.is_noted = True
        self._is_in_flight_behind = False  # the rooms of what is in flight are, from there on
        self._users_noted: set[str] = set()
        self._rooms_done: set[str] = set()
        self._users_done: set[str] = set()

    @property
    def has_work(self) -> bool:
        """Whether there is anything to send."""
        return bool(
            self.in_flight or self.live or self.behind or self.users or self.has_messages or self.ephemeral
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be sent and nothing to be stored."""
        return not (self.has_work or self._rooms_done or self._users_done)

    def add_event(self, queued: QueuedEvent, *, is_failing: bool) -> None:
        """Take in an event that was just committed."""
        behind = self.behind.get(queued.room_id)
        if behind is not None:
            behind.latest = max(behind.latest, queued.position)
            behind.told += 1
            return
        if not is_failing and len(self.live) >= EVENTS_QUEUED_MAX:
            self._fall_behind(self.live)
            self.live.clear()
            self.add_event(queued, is_failing=True)
        elif is_failing:
            self._fall_behind((queued,))
        else:
            self.live.append(queued)

    def lack(self, room_id: str, start: int, *, noted: int | None = None) -> None:
        """Take note that the server may lack the events of a room from a position on."""
        self.is_noted = False
        behind = self.behind.get(room_id)
        if behind is None:
            self.behind[room_id] = Behind(start, noted=self._row_left(room_id) if noted is None else noted)
            # What came meanwhile is read in its turn.
            self.live = deque([one for one in self.live if one.room_id != room_id])
        else:
            behind.start = min(behind.start, start)
            behind.latest = POSITION_MAX
            behind.told += 1

    def add_user(self, user_id: str, position: int, *, is_noted: bool = False) -> None:
        """Take note that the server is to be told of a user's devices."""
        self.is_noted = False
        if is_noted or user_id in self._users_done:  # there is a row, if an old one
            self._users_noted.add(user_id)
            self._users_done.discard(user_id)
        self.users[user_id] = max(position, self.users.get(user_id, 0))

    def next_live(self, limit: int) -> list[QueuedEvent]:
        """Look at the events that come next; they stay until `begin`."""
        return list(islice(self.live, limit))

    def begin(self, transaction: Transaction, live: int) -> None:
        """Send a transaction, with so many of the events that waited."""
        assert self.in_flight is None, "one at a time"
        for _ in range(live):
            self.live.popleft()
        self.in_flight, self._is_in_flight_behind = transaction, False

    def acknowledge(self) -> None:
        """The server has taken the transaction: what is in it need not be sent again."""
        sent = self._ended()
        self.pieces_max = PIECES_MAX
        for queued in sent.events:
            behind = self.behind.get(queued.room_id)
            if behind is not None and behind.start <= queued.position:
                self.is_noted = False
                behind.start = queued.position + 1
                if behind.start > behind.latest:
                    self.caught_up(queued.room_id)
        for user_id, position in sent.users.items():
            if self.users.get(user_id) == position:
                self.user_told(user_id)

    def user_told(self, user_id: str) -> None:
        """Nothing is left to tell of a user's devices."""
        self.is_noted = False
        del self.users[user_id]
        if user_id in self._users_noted:
            self._users_noted.discard(user_id)
            self._users_done.add(user_id)

    def caught_up(self, room_id: str) -> None:
        """The server lacks no event of a room any more."""
        self.is_noted = False
        if self.behind.pop(room_id).noted is not None:
            self._rooms_done.add(room_id)

    def fail(self) -> None:
        """The server did not answer: it falls behind; the transaction stays as it is, to be tried again."""
        if self.in_flight is not None:
            self._fall_behind(self.in_flight.events)
            self._is_in_flight_behind = True
        self._fall_behind(self.live)
        self.live.clear()
        for behind in self.behind.values():
            behind.is_trimmed = False  # it may become far more until the server answers

    def give_up_transaction(self) -> None:
        """Put what is in the transaction together anew; whatever is worth nothing later is lost."""
        self.fail()
        if self.in_flight is not None:
            self.has_messages = self.has_messages or bool(self.in_flight.messages)
            self.in_flight = None

    def shrink(self) -> bool:
        """Put a smaller transaction together, as this one is not taken; False: none is smaller."""
        assert self.in_flight is not None
        pieces = min(self.in_flight.pieces, self.pieces_max)
        if pieces <= 1:
            return False
        self.give_up_transaction()
        self.pieces_max = pieces // 2
        return True

    def oldest(self) -> int | None:
        """The position of the oldest event that it has not acknowledged."""
        return min([*self._live_positions(), *(one.start for one in self.behind.values())], default=None)

    @property
    def lowest_live(self) -> int | None:
        """The lowest position of what a crash would make forgotten, once `notes` are stored."""
        return min(self._live_positions(), default=None)

    def lowest_unnoted(self) -> int | None:
        """The lowest position of what a crash would make forgotten."""
        held = self._live_positions()
        held += [one.start for one in self.behind.values() if not one.is_noted]
        held += [at for user_id, at in self.users.items() if user_id not in self._users_noted]
        return min(held, default=None)

    def notes(self) -> Notes:
        """What is to be stored, and to be given to `noted` once it is; if it is not, `is_noted` is not so."""
        self.is_noted = True
        return Notes(
            {room_id: one.start for room_id, one in self.behind.items() if one.noted != one.start},
            {user_id: at for user_id, at in self.users.items() if user_id not in self._users_noted},
            set(self._rooms_done), set(self._users_done),
        )  # fmt: skip

    def noted(self, notes: Notes) -> None:
        """Take note that what `notes` told is stored; more may have come meanwhile."""
        for room_id, start in notes.rooms.items():
            behind = self.behind.get(room_id)
            if behind is not None:
                behind.noted = start
            else:
                self._rooms_done.add(room_id)
                self.is_noted = False
        for user_id in notes.users:
            (self._users_noted if user_id in self.users else self._users_done).add(user_id)
            self.is_noted = self.is_noted and user_id in self.users
        for room_id in notes.rooms_done & self.behind.keys():
            self.behind[room_id].noted = None  # the row that was there when it came is gone now
            self.is_noted = False
        for user_id in notes.users_done & self._users_noted:
            self._users_noted.discard(user_id)
            self.is_noted = False
        self._rooms_done -= notes.rooms_done
        self._users_done -= notes.users_done

    def _row_left(self, room_id: str) -> int | None:
        """The start in the row that a room still has: 0, as it is not later than anything that comes now."""
        if room_id not in self._rooms_done:
            return None
        self._rooms_done.discard(room_id)
        return 0

    def _ended(self) -> Transaction:
        assert self.in_flight is not None
        ended, self.in_flight = self.in_flight, None
        return ended

    def _fall_behind(self, events: Collection[QueuedEvent]) -> None:
        self.is_noted = self.is_noted and not events
        for queued in events:
            behind = self.behind.get(queued.room_id)
            if behind is None:
                noted = self._row_left(queued.room_id)
                self.behind[queued.room_id] = Behind(queued.position, queued.position, noted=noted)
            else:
                behind.start = min(behind.start, queued.position)
                behind.latest = max(behind.latest, queued.position)

    def _live_positions(self) -> list[int]:
        positions = [self.live[0].position] if self.live else []
        if self.in_flight is not None and not self._is_in_flight_behind:
            for one in self.in_flight.events:
                behind = self.behind.get(one.room_id)
                if behind is None or one.position < behind.start:
                    positions.append(one.position)
        return positions
