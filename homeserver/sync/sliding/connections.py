"""Connections: what each of them has been told, by position, so that the next answer tells what it lacks.

They live in memory; `homeserver.sync.sliding.keeper` saves them, so that they go on after a restart. Where
that came too late the `pos` is unknown, and clients begin again with a small window, as the protocol wants
them to.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from homeserver.core.errors import UnknownPos
from homeserver.core.positions import POSITION_MAX, SyncToken
from homeserver.core.requester import Requester
from homeserver.runtime.randomness import Randomness
from homeserver.sync.sliding.lists import Listed
from homeserver.sync.sliding.request import SlidingBody
from homeserver.sync.sliding.room_config import Tuples
from homeserver.sync.sliding.unsaved import Unsaved
from storage.tables.sliding_connections import ConnectionKey

__all__ = ["Connections", "Place", "RoomSent", "Until", "position_of_pos"]

CONNECTIONS_PER_SESSION_MAX = 8
CONNECTIONS_MAX = 50_000
ENTRIES_MAX = 2_000_000
"""Of all connections together: a room, or a member that was told, is one each."""

Until = Mapping[str, SyncToken | None]
"""Rooms of which something was told: up to that token, or (None) up to that of the place."""


@dataclass(slots=True)  # not frozen, for its cost
class RoomSent:
    """What a connection has of one room. Not to be changed.

    Attributes:
        until: told up to there; None: up to the token of the place.
        timeline_limit: how long a timeline it has been told.
        required: which state it has been told.
        lazy: whose member events it has been told because of lazy loading; a tuple, as that is small.
    """

    until: SyncToken | None
    timeline_limit: int
    required: Tuples
    lazy: tuple[str, ...] = ()


@dataclass(slots=True)
class Place:
    """Where a connection is: made with an answer, and never changed once that is on its way.

    Attributes:
        pos: its name; empty while it has none.
        token: up to where the streams were looked at.
        rooms: what was told of rooms.
        account_data: the rooms of which account data was told; the empty name is for what is of no room.
        receipts: the rooms of which receipts were told.
        sticky: the rooms in scope of the extension for sticky events; None if it was not asked for.
        device_lists: up to where device lists were told; None: they were not asked for yet.
        threads: likewise of thread subscriptions.
        listed: what the lists of `body` came to, if that stays so until the user's rooms change.
        body: the request that was answered with it.
    """

    pos: str = ""
    token: SyncToken | None = None
    rooms: dict[str, RoomSent] = field(default_factory=dict)
    account_data: Until = field(default_factory=dict)
    receipts: Until = field(default_factory=dict)
    sticky: Mapping[str, None] | None = None
    device_lists: SyncToken | None = None
    threads: SyncToken | None = None
    listed: Listed | None = None
    body: SlidingBody | None = None

    def entries(self) -> int:
        """How much memory it takes, counted in rooms and members."""
        listed = 0 if self.listed is None else 2 * len(self.listed.configs)
        rooms = len(self.rooms) + len(self.account_data) + len(self.receipts) + len(self.sticky or ())
        return 1 + sum([len(sent.lazy) for sent in self.rooms.values()]) + rooms + listed


def position_of_pos(pos: str) -> int | None:
    """The position up to which all had been told when a place got this name; None: it is no such name."""
    prefix, _, position = pos.rpartition(".")
    if prefix.count(".") != 1 or not position.isascii() or not position.isdigit() or len(position) > 19:
        return None
    return min(int(position), POSITION_MAX)


class _Connection:
    """The two places that may be asked for: the one that was acknowledged last, and the newest."""

    __slots__ = ("acknowledged", "entries", "newest", "turn")

    def __init__(self) -> None:
        self.turn = 0
        self.acknowledged: Place | None = None
        self.newest: Place | None = None
        self.entries = 0


class Connections:
    """All connections; those go first that were used longest ago.

    Attributes:
        unsaved: those that changed.
    """

    def __init__(
        self,
        randomness: Randomness,
        *,
        per_session_max: int = CONNECTIONS_PER_SESSION_MAX,
        entries_max: int = ENTRIES_MAX,
    ) -> None:
        self.unsaved = Unsaved()
        # No position of an earlier process is taken for one of this.
        self._prefix = randomness.token_urlsafe(9)
        self._number = 0
        self._per_session_max = per_session_max
        self._entries_max = entries_max
        self._entries = 0
        self._connections: OrderedDict[ConnectionKey, _Connection] = OrderedDict()
        self._of_session: dict[int, OrderedDict[str | None, None]] = {}

    def has(self, requester: Requester, conn_id: str | None) -> bool:
        """Whether anything is known of this connection."""
        return (requester.session_id, conn_id) in self._connections

    def places(self, key: ConnectionKey) -> tuple[Place, Place | None] | None:
        """The newest place of a connection, and the one acknowledged last, if any; None: nothing was told."""
        connection = self._connections.get(key)
        if connection is None or connection.newest is None:
            return None
        return connection.newest, connection.acknowledged

    def restore(
        self, requester: Requester, conn_id: str | None, newest: Place, acknowledged: Place | None
    ) -> None:
        """Take in a connection that was saved, of which nothing is known here."""
        connection = self._add(requester.session_id, conn_id)
        connection.newest, connection.acknowledged = newest, acknowledged
        self._weigh(connection)
        self._make_way(requester.session_id)

    def find(self, requester: Requester, conn_id: str | None, pos: str) -> tuple[Place, int]:
        """The place with this name, which acknowledges all before it; and the turn of who asks.

        Raises:
            UnknownPos: this connection has no such place.
        """
        key = requester.session_id, conn_id
        connection = self._connections.get(key)
        if connection is not None:
            self._connections.move_to_end(key)
            self._of_session[requester.session_id].move_to_end(conn_id)
            newest, acknowledged = connection.newest, connection.acknowledged
            if newest is not None and newest.pos == pos:
                connection.acknowledged = newest
                return newest, self._take_turn(connection)
            if acknowledged is not None and acknowledged.pos == pos:
                return acknowledged, self._take_turn(connection)
        raise UnknownPos("The server does not know this pos any more: leave it out to begin again.")

    def begin(self, requester: Requester, conn_id: str | None) -> tuple[Place, int]:
        """Start again: what the connection had is gone. The place has no token; the turn is of who asks."""
        session_id = requester.session_id
        self._drop(session_id, conn_id)
        connection = self._add(session_id, conn_id)
        self.unsaved.note((session_id, conn_id))
        turn = self._take_turn(connection)
        self._make_way(session_id)
        return Place(), turn

    def advance(self, requester: Requester, conn_id: str | None, turn: int, place: Place) -> None:
        """Name a place that is about to be told to the client, and keep it.

        It is not kept if another request came meanwhile: nobody waits for this answer any more.
        """
        self._number += 1
        # So that it says also to who does not know the connection any more, up to where it was told.
        position = 0 if place.token is None else place.token.lowest
        place.pos = f"{self._prefix}.{self._number}.{position}"
        session_id = requester.session_id
        connection = self._connections.get((session_id, conn_id))
        if connection is None or connection.turn != turn:
            return
        connection.newest = place
        self.unsaved.note((session_id, conn_id))
        self._weigh(connection)
        self._make_way(session_id)

    def _add(self, session_id: int, conn_id: str | None) -> _Connection:
        connection = self._connections[session_id, conn_id] = _Connection()
        self._of_session.setdefault(session_id, OrderedDict())[conn_id] = None
        return connection

    def _weigh(self, connection: _Connection) -> None:
        assert connection.newest is not None, "it has just come to a place"
        entries = connection.newest.entries()
        if connection.acknowledged is not None:
            entries *= 2  # at most: the two share what did not change
        self._entries += entries - connection.entries
        connection.entries = entries

    def _take_turn(self, connection: _Connection) -> int:
        self._number += 1
        connection.turn = self._number
        return self._number

    def _make_way(self, session_id: int) -> None:
        of_session = self._of_session[session_id]
        while len(of_session) > self._per_session_max:
            self._drop(session_id, next(iter(of_session)))
        while len(self._connections) > 1 and (
            self._entries > self._entries_max or len(self._connections) > CONNECTIONS_MAX
        ):
            self._drop(*next(iter(self._connections)))

    def _drop(self, session_id: int, conn_id: str | None) -> None:
        connection = self._connections.pop((session_id, conn_id), None)
        if connection is None:
            return
        self._entries -= connection.entries
        of_session = self._of_session[session_id]
        del of_session[conn_id]
        if not of_session:
            del self._of_session[session_id]
