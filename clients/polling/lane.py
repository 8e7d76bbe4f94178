"""Knows the seats of clients that poll, and which request goes on in which of them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from clients.endpoints.sync import asked_by, wished_presence
from clients.polling.head import PATH, taken_apart
from clients.polling.seat import House, Occupant, Seat
from homeserver.core.errors import MatrixError
from homeserver.core.requester import Admission, Requester
from homeserver.ephemeral.presence import Presence
from homeserver.ephemeral.present_user import OFFLINE
from homeserver.http.authenticate import Authenticator, access_token_of
from homeserver.http.channel import Channel, plain_get
from homeserver.http.decode import decoded_query
from homeserver.http.request import Request
from homeserver.runtime.observation import Observer
from homeserver.runtime.tasks import Tasks
from homeserver.sync.filters import Filters
from homeserver.sync.follow import Sync
from homeserver.sync.request import SyncRequest

__all__ = ["PollLane"]

SEATS_MAX = 20_000
SEEN_MAX = 50_000
IDLE_LOOKED_FOR_MAX = 100
SWEEP_S = 5
EMPTY_SWEEPS_MAX = 2
"""A client that has not come back by then begins anew, at the cost of a request that nobody knows."""


class PollLane:
    """The shorter way of `GET /sync`, for clients that send the same request over and over.

    A client gets a seat with its second request: one that varies its head, or whose proxy does, never does.

    Args:
        sync: what is followed.
        filters: those that clients name.
        authenticator: knows whose an access token is.
        presence: who is here; None where that is turned off.
        note: told who polls, with their address and client.
        observer: told of every request.
        trust_forwarded_for: a proxy tells the clients' addresses.
        seats_max: how many clients have one.
    """

    def __init__(
        self,
        *,
        sync: Sync,
        filters: Filters,
        authenticator: Authenticator,
        presence: Presence | None,
        note: Callable[[Requester, str, str], None],
        observer: Observer,
        trust_forwarded_for: bool = False,
        seats_max: int = SEATS_MAX,
    ) -> None:
        self._sync = sync
        self._filters = filters
        self._presence = presence
        self._tasks = tasks = Tasks(observer)
        self._trust_forwarded_for = trust_forwarded_for
        self._seats_max = seats_max
        self._house = House(
            authenticator=authenticator, note=note, observer=observer, tasks=tasks, presence=presence,
            drop=self._drop,
        )  # fmt: skip
        self._seats: OrderedDict[bytes, Seat] = OrderedDict()
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._sweep_call: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many clients have a seat."""
        return len(self._seats)

    def take(self, channel: Channel, head: bytes) -> bool:
        """Begin to answer a poll, or leave it and return False; see `Express`."""
        asked = taken_apart(head)
        if asked is None:
            return False
        key, token = asked
        seat = self._seats.get(key)
        if seat is None:
            return self._has_seen(key) and self._sit_down(channel, key, head)
        if seat.is_taken:
            return False
        if seat.poll(channel, head, token):
            self._seats.move_to_end(key)
            return True
        self._drop(seat)
        return False

    async def close(self) -> None:
        """Give all seats up."""
        if self._sweep_call is not None:
            self._sweep_call.cancel()
        await self._tasks.close()
        for seat in tuple(self._seats.values()):
            self._drop(seat)

    def sweep(self) -> None:
        """Give up the seats to which nobody has come back."""
        self._house.sweeps += 1
        for seat in tuple(self._seats.values()):
            if not seat.is_taken and self._house.sweeps - seat.left_at > EMPTY_SWEEPS_MAX:
                self._drop(seat)
        self._sweep_call = asyncio.get_running_loop().call_later(SWEEP_S, self.sweep) if self._seats else None

    def _has_seen(self, key: bytes) -> bool:
        mark = hash(key)
        if mark in self._seen:
            self._seen.move_to_end(mark)
            return True
        self._seen[mark] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return False

    def _sit_down(self, channel: Channel, key: bytes, head: bytes) -> bool:
        """Give a client a seat, if nothing must be read for that and nothing is wrong with the request."""
        found = plain_get(head)
        if found is None:
            return False
        target, headers = found
        try:
            query = decoded_query(target.partition(b"?")[2].decode())
            token = access_token_of(headers, query)
            admission = None if token is None else self._house.authenticator.known(token)
            if admission is None:
                return False
            request = Request("GET", PATH, {}, query, headers, maybe_requester=admission.requester)
            wish = wished_presence(request)
            wanted = self._filters.at_hand(admission.requester.user_id, request.query_maybe("filter"))
            asked = None if wanted is None else asked_by(request, wanted)
        except (MatrixError, UnicodeDecodeError):
            return False
        if asked is None or asked.since is None or asked.full_state or asked.timeout_ms <= 0:
            return False
        seat = self._seat(key, headers, asked, admission, wish)
        if seat is None:
            return False
        self._seats[key] = seat
        self._make_room()
        if self._sweep_call is None:
            self._sweep_call = asyncio.get_running_loop().call_later(SWEEP_S, self.sweep)
        seat.sit_down(channel, head)
        return True

    def _seat(
        self, key: bytes, headers: dict[str, str], asked: SyncRequest, admission: Admission, wish: str | None
    ) -> Seat | None:
        requester, user = asked.requester, None
        if self._presence is not None and wish != OFFLINE:
            user = self._presence.come_at_once(requester, wish)
            if user is None:
                return None
        following = self._sync.following(asked)
        follower = following.enter_at_once()
        if follower is None:
            if self._presence is not None and user is not None:
                self._presence.go(user, requester)
            return None
        forwarded_for = ""
        if self._trust_forwarded_for:
            forwarded_for = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        occupant = Occupant(asked, admission, headers.get("user-agent", ""), forwarded_for, wish, user)
        return Seat(self._house, key, occupant, following, follower)

    def _make_room(self) -> None:
        if len(self._seats) <= self._seats_max:
            return
        oldest = [seat for seat, _ in zip(self._seats.values(), range(IDLE_LOOKED_FOR_MAX), strict=False)]
        idle = next((seat for seat in oldest if not seat.is_taken), None)
        if idle is not None:
            self._drop(idle)

    def _drop(self, seat: Seat) -> None:
        if self._seats.get(seat.key) is seat:
            del self._seats[seat.key]
            seat.close()
