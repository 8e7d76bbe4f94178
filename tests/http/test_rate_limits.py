from dataclasses import dataclass

import pytest

from homeserver.core.errors import LimitExceeded
from homeserver.http.endpoint import RateLimit
from homeserver.http.rate_limits import RateLimits


@dataclass(frozen=True)
class Rate:
    per_second: float
    burst: float


def test_classes_and_keys_have_buckets_of_their_own(clock):
    limits = RateLimits({"login": Rate(1, 1), "join": Rate(1, 1)}, clock, lambda observation: None)
    for kind in (RateLimit.LOGIN, RateLimit.JOIN):
        for key in ("a", "b"):
            limits.check(kind, key)

    with pytest.raises(LimitExceeded):
        limits.check(RateLimit.LOGIN, "a")


def test_a_class_without_numbers_is_unlimited(clock):
    limits = RateLimits({}, clock, lambda observation: None)

    for _ in range(1000):
        limits.check(RateLimit.LOGIN, "a")


def test_the_number_of_buckets_is_bounded_and_the_busy_ones_stay(clock):
    limits = RateLimits({"login": Rate(1, 2)}, clock, lambda observation: None, buckets_max=3)
    limits.check(RateLimit.LOGIN, "busy")
    for key in ("a", "b"):
        limits.check(RateLimit.LOGIN, key)
    limits.check(RateLimit.LOGIN, "busy")
    limits.check(RateLimit.LOGIN, "c")

    with pytest.raises(LimitExceeded):
        limits.check(RateLimit.LOGIN, "busy")
    assert len(limits._buckets) == 3
