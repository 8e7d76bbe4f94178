import asyncio

import pytest
from twisted.internet.defer import Deferred

from homeserver.runtime.bridge import deferred_of, future_of


async def test_a_deferred_can_be_awaited():
    deferred = Deferred()
    future = future_of(deferred)
    deferred.callback(7)

    assert await future == 7


async def test_a_failure_is_raised():
    deferred = Deferred()
    future = future_of(deferred)
    deferred.errback(ValueError("broken"))

    with pytest.raises(ValueError, match="broken"):
        await future


async def test_a_coroutine_becomes_a_deferred():
    results = []

    async def work():
        await asyncio.sleep(0)
        return 7

    deferred_of(work()).addCallback(results.append)
    for _ in range(4):
        await asyncio.sleep(0)

    assert results == [7]
