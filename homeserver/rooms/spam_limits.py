"""How much a user may reach others with: invitations, joins and new rooms, whatever the endpoint.

The limits of `homeserver.http.rate_limits` bound how often an endpoint is asked. These bound what comes of
it: one request may invite many, and many users may be made to invite one.
"""

from collections import OrderedDict
from typing import Protocol

from homeserver.core.errors import InvalidParam, LimitExceeded
from homeserver.core.requester import Requester
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Observer, RateLimited
from homeserver.runtime.token_bucket import TokenBucket

__all__ = ["Rate", "SpamLimits", "SpamRates"]


class Rate(Protocol):
    """The numbers of one limit."""

    @property
    def per_second(self) -> float:
        """Regained each second."""

    @property
    def burst(self) -> int:
        """At once after a rest."""


class SpamRates(Protocol):
    """The numbers of all limits, as the configuration gives them."""

    @property
    def enabled(self) -> bool:
        """Whether there are any."""

    @property
    def invites_per_issuer(self) -> Rate:
        """Invitations that one user sends."""

    @property
    def invites_per_recipient(self) -> Rate:
        """Invitations that one user gets."""

    @property
    def invites_per_room(self) -> Rate:
        """Invitations to one room."""

    @property
    def joins_per_user(self) -> Rate:
        """Joins, and knocks, of one user."""

    @property
    def joins_per_room(self) -> Rate:
        """Joins of, and knocks on, one room."""

    @property
    def room_creations(self) -> Rate:
        """Rooms that one user makes."""

    @property
    def invites_per_new_room_max(self) -> int:
        """Users invited while a room is made."""


class SpamLimits:
    """A bucket for each limit and user or room. Admins are exempt.

    Args:
        rates: the numbers.
        clock: tells the time.
        observer: told of each refusal.
        buckets_max: more buckets than this are not kept; the one that rested longest is forgotten.
    """

    def __init__(
        self, *, rates: SpamRates, clock: Clock, observer: Observer, buckets_max: int = 100_000
    ) -> None:
        self._rates = rates
        self._clock = clock
        self._observer = observer
        self._buckets_max = buckets_max
        self._buckets: OrderedDict[tuple[str, str], TokenBucket] = OrderedDict()

    def count_invite(self, requester: Requester, room_id: str, user_id: str) -> None:
        """Count an invitation to a room.

        Raises:
            LimitExceeded: there were too many; says when the next one may be.
        """
        if self._is_exempt(requester):
            return
        self._take("invites_per_issuer", self._rates.invites_per_issuer, requester.user_id)
        self._take("invites_per_room", self._rates.invites_per_room, room_id)
        self._take("invites_per_recipient", self._rates.invites_per_recipient, user_id)

    def count_join(self, requester: Requester, room_id: str) -> None:
        """Count a join, or a knock.

        Raises:
            LimitExceeded: there were too many; says when the next one may be.
        """
        if self._is_exempt(requester):
            return
        self._take("joins_per_user", self._rates.joins_per_user, requester.user_id)
        self._take("joins_per_room", self._rates.joins_per_room, room_id)

    def count_invite_from_elsewhere(self, sender: str, room_id: str, user_id: str) -> None:
        """Count an invitation of a user of ours by one of another server, whose admins are unknown here.

        Raises:
            LimitExceeded: there were too many; says when the next one may be.
        """
        if self._rates.enabled:
            self._take("invites_per_issuer", self._rates.invites_per_issuer, sender)
            self._take("invites_per_room", self._rates.invites_per_room, room_id)
            self._take("invites_per_recipient", self._rates.invites_per_recipient, user_id)

    def count_join_from_elsewhere(self, user_id: str, room_id: str) -> None:
        """Count a join, or a knock, of a user of another server.

        Raises:
            LimitExceeded: there were too many; says when the next one may be.
        """
        if self._rates.enabled:
            self._take("joins_per_user", self._rates.joins_per_user, user_id)
            self._take("joins_per_room", self._rates.joins_per_room, room_id)

    def count_new_room(self, requester: Requester, invited: tuple[str, ...] = ()) -> None:
        """Count a new room and whom it invites from the beginning.

        Raises:
            InvalidParam: it invites more than a new room may, whatever was before.
            LimitExceeded: there were too many; says when the next one may be.
        """
        invites_max = self._rates.invites_per_new_room_max
        if len(invited) > invites_max:
            raise InvalidParam(
                f"Invite at most {invites_max} users while a room is made, and the others later."
            )
        if self._is_exempt(requester):
            return
        self._take("room_creations", self._rates.room_creations, requester.user_id)
        if invited:
            self._take("invites_per_issuer", self._rates.invites_per_issuer, requester.user_id, len(invited))
        for user_id in invited:
            self._take("invites_per_recipient", self._rates.invites_per_recipient, user_id)

    def _is_exempt(self, requester: Requester) -> bool:
        return requester.is_admin or not self._rates.enabled

    def _take(self, kind: str, rate: Rate, key: str, tokens: int = 1) -> None:
        now_ms = self._clock.monotonic_ms()
        name = (kind, key)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = TokenBucket(rate.per_second, rate.burst, now_ms)
            if len(self._buckets) > self._buckets_max:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
        # What takes more than a bucket holds would never be let through: a full one is enough for it.
        retry_after_ms = bucket.take(now_ms, min(tokens, rate.burst))
        if retry_after_ms:
            self._observer(RateLimited(kind, key))
            raise LimitExceeded(_WHY[kind], retry_after_ms=retry_after_ms)


_WHY = {
    "invites_per_issuer": "You invite too many; wait a little.",
    "invites_per_recipient": "That user gets too many invitations; wait a little.",
    "invites_per_room": "Too many are invited to this room; wait a little.",
    "joins_per_user": "You join too many rooms; wait a little.",
    "joins_per_room": "Too many join this room; wait a little.",
    "room_creations": "You make too many rooms; wait a little.",
}
