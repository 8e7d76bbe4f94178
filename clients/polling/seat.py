"""One client's place among the streams, kept from one of its long polls to the next.

While there is nothing to tell, a poll is a listener on a bell, and no task. What many are told alike is
answered right from there (see `sync/fan_out.py`); for all else the follower looks in a task. Whatever is out
of the ordinary gives the request back, to be answered as any other is.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from clients.polling.head import PATH
from homeserver.core.errors import MatrixError
from homeserver.core.requester import Admission, Requester
from homeserver.ephemeral.presence import Presence
from homeserver.ephemeral.present_user import PresentUser
from homeserver.http.authenticate import Authenticator
from homeserver.http.channel import Channel
from homeserver.http.response import Response
from homeserver.runtime.observation import Failure, Observer, RequestFinished
from homeserver.runtime.tasks import Tasks
from homeserver.sync.assemble import Delta
from homeserver.sync.follow import Follower, Following
from homeserver.sync.request import SyncRequest

__all__ = ["House", "Occupant", "Seat"]

WORK_S_MAX = 60
CLIENT_CLOSED_REQUEST = 499


class House:
    """What all seats share.

    Args:
        authenticator: knows whether a session goes on.
        note: told who is here, with their address and client.
        observer: told of every request.
        tasks: in which what is not at hand is put together.
        presence: who is here; None where that is turned off.
        drop: gives a seat up.

    Attributes:
        requests: how many were taken.
        sweeps: how often seats that stay empty were looked for.
    """

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        note: Callable[[Requester, str, str], None],
        observer: Observer,
        tasks: Tasks,
        presence: Presence | None,
        drop: Callable[["Seat"], None],
    ) -> None:
        self.authenticator = authenticator
        self.note = note
        self.observer = observer
        self.tasks = tasks
        self.presence = presence
        self.drop = drop
        self.requests = 0
        self.sweeps = 0


@dataclass(frozen=True, slots=True)
class Occupant:
    """Who polls, and what for: the same with each poll.

    Attributes:
        asked: what the client asks for.
        admission: what its access token stands for.
        agent: its software.
        forwarded_for: its address as a trusted proxy tells it; else empty.
        wish: its `set_presence`.
        user: the user who is here; None if that does not count.
    """

    asked: SyncRequest
    admission: Admission
    agent: str
    forwarded_for: str
    wish: str | None
    user: PresentUser | None


class Seat:
    """One client that polls.

    Args:
        house: what all seats share.
        key: all of the request but the token.
        occupant: who polls, and what for.
        following: the block that `follower` follows in; the seat ends it.
        follower: looks for what there is to tell.

    Attributes:
        key: as given.
        left_at: the sweep of the house at which the last request was answered.
    """

    __slots__ = (
        "_channel", "_follower", "_following", "_has_more", "_head", "_house", "_is_awake", "_is_due",
        "_occupant", "_request_id", "_started_s", "_task", "_timer", "key", "left_at",
    )  # fmt: skip

    def __init__(
        self, house: House, key: bytes, occupant: Occupant, following: Following, follower: Follower
    ) -> None:
        self._house = house
        self.key = key
        self.left_at = 0
        self._occupant = occupant
        self._following = following
        self._follower = follower
        self._channel: Channel | None = None
        self._head = b""
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._has_more = self._is_due = False
        self._is_awake = True
        self._started_s = 0.0
        self._request_id = ""

    @property
    def is_taken(self) -> bool:
        """A request waits for its answer, or for its end."""
        return self._channel is not None or self._task is not None

    def sit_down(self, channel: Channel, head: bytes) -> None:
        """Take the first request."""
        self._begin(channel, head)
        if self._follower.has_caught_up():
            self._rest()
        else:
            self._start_work()

    def poll(self, channel: Channel, head: bytes, token: str) -> bool:
        """Take a request that goes on where the answer before it ended; False if this one does not."""
        is_admitted = self._house.authenticator.is_valid(self._occupant.admission)
        if token != self._follower.token or not is_admitted or not self._stay():
            return False
        self._follower.acknowledge(token)
        self._begin(channel, head)
        if self._has_more:
            self._start_work()
        elif not self._follower.has_news:
            self._rest()
        elif self._tell() is not True:
            self._start_work()
        elif self._channel is not None and self._task is None:
            self._follower.clear()
            self._rest()
        return True

    def close(self) -> None:
        """Give the place up."""
        self._leave()
        self._following.leave()
        occupant, presence = self._occupant, self._house.presence
        if occupant.user is not None and presence is not None:
            presence.go(occupant.user, occupant.asked.requester)

    # What the connection asks of a request.

    def connectionLost(self, reason: Any) -> None:  # noqa: ARG002, N802 - Twisted's name and argument
        """Let go: the client is gone, and may come back."""
        self._observe(CLIENT_CLOSED_REQUEST)
        self._leave()
        if self._task is not None:
            # What it has seen by now, nobody was told: the place is not to be gone on from.
            self._task.cancel()
            self._house.drop(self)

    def cancel(self) -> "asyncio.Task[None] | None":
        """Cancel the work on the request, if there is any; returns what to wait for."""
        if self._task is not None:
            self._task.cancel()
        return self._task

    # What the bell asks of a sleep.

    def done(self) -> bool:
        """The listener is not to be asked now."""
        return self._is_awake

    def set_result(self, result: None, /) -> None:  # noqa: ARG002 - a future's method, always called with None
        """Look in a task, once all that is happening now has happened."""
        if not self._is_awake:
            self._is_awake = True
            asyncio.get_running_loop().call_soon(self._start_work)

    def set_exception(self, exception: Exception, /) -> None:
        """The listener failed."""
        self._house.observer(Failure(exception))
        self.set_result(None)

    def _begin(self, channel: Channel, head: bytes) -> None:
        house, occupant = self._house, self._occupant
        house.requests += 1
        self._request_id = f"p{house.requests}"
        self._started_s = time.perf_counter()
        self._is_due = False
        self._channel, self._head = channel, head
        channel.begin(self)
        address = occupant.forwarded_for or channel.client_address
        house.note(occupant.asked.requester, address, occupant.agent)
        timeout_s = occupant.asked.timeout_ms / 1000
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._expire)

    def _stay(self) -> bool:
        occupant, presence = self._occupant, self._house.presence
        if occupant.user is None or presence is None:
            return True
        return presence.stay(occupant.user, occupant.asked.requester, occupant.wish)

    def _rest(self) -> None:
        self._is_awake = False
        self._follower.rest(self._tell, self)

    def _tell(self) -> Hashable:
        """Answer with what many are told alike; see `Listener`."""
        if not self._house.authenticator.is_valid(self._occupant.admission):
            return None
        delta = self._follower.glance()
        if type(delta) is not Delta:
            return delta
        if not delta.is_empty:
            body = self._follower.with_key_counts_at_hand(delta)
            if body is None:
                self._start_work(delta)
            else:
                self._has_more = False
                self._follower.clear()
                self._answer(body)
        return True

    def _expire(self) -> None:
        self._is_due = True
        delta = None if self._is_awake else self._follower.move_on()
        body = None if delta is None else self._follower.with_key_counts_at_hand(delta)
        if body is None or not self._house.authenticator.is_valid(self._occupant.admission):
            self._start_work(delta)
        else:
            self._answer(body)

    def _start_work(self, delta: Delta | None = None) -> None:
        if self._channel is None or self._task is not None:
            return
        self._is_awake = True  # and the bell asks no more, until the rest after this
        self._task = self._house.tasks.start(self._work(delta), "long poll")

    async def _work(self, delta: Delta | None) -> None:
        try:
            async with asyncio.timeout(WORK_S_MAX):
                body = await self._look(delta)
        except Exception as error:  # noqa: BLE001 - the ordinary way answers; what failed only here is not hidden
            if not isinstance(error, MatrixError):
                self._house.observer(Failure(error))
            self._give_back()
            return
        finally:
            self._task = None
        if body is None:
            self._rest()
        elif self._house.authenticator.is_valid(self._occupant.admission):
            self._answer(body)
        else:
            self._give_back()

    async def _look(self, delta: Delta | None) -> bytes | None:
        """The body of the answer; None if there is nothing to tell, and still time."""
        follower, self._has_more = self._follower, False
        if delta is None:
            delta, self._has_more = await follower.look()
            while delta.is_empty and (self._has_more or follower.has_news):
                delta, self._has_more = await follower.look()
            if delta.is_empty and not self._is_due:
                return None
        return await follower.with_key_counts(delta)

    def _answer(self, body: bytes) -> None:
        channel = self._channel
        if channel is not None:
            self._observe(200)
            self._leave()
            channel.finish(self, Response(body=body))

    def _give_back(self) -> None:
        channel, head = self._channel, self._head
        self._leave()
        self._house.drop(self)
        if channel is not None:
            channel.give_back(self, head)

    def _leave(self) -> None:
        """Have no request any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._follower.rise()
        self._is_awake = True
        self._channel, self._head = None, b""
        self.left_at = self._house.sweeps

    def _observe(self, status: int) -> None:
        if self._channel is not None:
            occupant = self._occupant
            duration_ms = (time.perf_counter() - self._started_s) * 1000
            address = occupant.forwarded_for or self._channel.client_address
            user_id = occupant.asked.requester.user_id
            self._house.observer(
                RequestFinished("GET", PATH, PATH, status, duration_ms, self._request_id, user_id, address)
            )
