"""How often a user or an address may ask, per class of endpoints."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Protocol

from homeserver.core.errors import LimitExceeded
from homeserver.http.endpoint import RateLimit
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Observer, RateLimited
from homeserver.runtime.token_bucket import TokenBucket

__all__ = ["Rate", "RateLimits"]


class Rate(Protocol):
    """The numbers of one class, as the configuration gives them."""

    @property
    def per_second(self) -> float:
        """Requests regained each second."""

    @property
    def burst(self) -> float:
        """Requests at once after a rest."""


class RateLimits:
    """A bucket for each class and key.

    Args:
        rates: numbers by the value of `RateLimit`; a class that is missing is unlimited.
        clock: tells the time.
        observer: told of each refusal.
        buckets_max: more buckets than this are not kept; the one that rested longest is forgotten.
    """

    def __init__(
        self, rates: Mapping[str, Rate], clock: Clock, observer: Observer, *, buckets_max: int = 100_000
    ) -> None:
        self._rates = {kind: rates[kind.value] for kind in RateLimit if kind.value in rates}
        self._clock = clock
        self._observer = observer
        self._buckets_max = buckets_max
        self._buckets: OrderedDict[tuple[RateLimit, str], TokenBucket] = OrderedDict()

    def check(self, kind: RateLimit, key: str) -> None:
        """Count one request of `key` (a user ID or an address) against the class.

        Raises:
            LimitExceeded: it asked too often; says when it may ask again.
        """
        rate = self._rates.get(kind)
        if rate is None:
            return
        now_ms = self._clock.monotonic_ms()
        name = (kind, key)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = TokenBucket(rate.per_second, rate.burst, now_ms)
            if len(self._buckets) > self._buckets_max:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
        retry_after_ms = bucket.take(now_ms)
        if retry_after_ms:
            self._observer(RateLimited(kind.value, key))
            raise LimitExceeded("You ask too often; wait a little.", retry_after_ms=retry_after_ms)
