"""The extension `to_device`: its own place, which acknowledges, beside the `pos` of the connection."""

import asyncio

import pytest

from homeserver.core.errors import InvalidParam
from tests.sync.sync_asking import ALICE


def asking(since=None, **options):
    extension = {"enabled": True, **options}
    if since is not None:
        extension["since"] = since
    return {"conn_id": "encryption", "extensions": {"to_device": extension}}


async def ask(sliding, since=None, pos=None, **options):
    timeout_ms = options.pop("timeout_ms", 0)
    answer = await sliding.ask(ALICE, asking(since, **options), pos, timeout_ms=timeout_ms)
    part = answer["extensions"]["to_device"]
    return answer["pos"], part["next_batch"], part["events"]


async def test_messages_come_in_order_and_once(sliding):
    pos, since, events = await ask(sliding)
    assert events == []
    sent = [sliding.message(ALICE, n=number) for number in range(3)]

    pos, since, events = await ask(sliding, since, pos)
    assert events == sent
    pos, place, events = await ask(sliding, since, pos)
    assert (place, events) == (since, [])
    sliding.sweep()
    assert sliding.inboxes[ALICE, "DEVICE"] == {}


async def test_the_limit_is_kept_and_the_rest_follows(sliding):
    sent = [sliding.message(ALICE, n=number) for number in range(250)]
    pos, since, found = await ask(sliding, limit=7)
    assert found == sent[:7]
    for _ in range(3):
        pos, since, events = await ask(sliding, since, pos, limit=1_000)
        found += events
        assert len(events) <= 100

    assert found == sent


async def test_without_a_place_it_begins_at_the_oldest_and_deletes_nothing(sliding):
    sent = [sliding.message(ALICE, n=number) for number in range(3)]
    for _ in range(2):
        _, since, events = await ask(sliding)
        assert events == sent
        sliding.sweep()
    assert len(sliding.inboxes[ALICE, "DEVICE"]) == 3

    _, _, events = await ask(sliding, since)  # the connection is new, the place is not
    assert events == []


async def test_a_message_wakes_who_asked_for_messages_and_no_other(sliding):
    pos, since, _ = await ask(sliding)
    plain = await sliding.ask(ALICE, {"conn_id": "room-list"})
    waiting = asyncio.ensure_future(ask(sliding, since, pos, timeout_ms=30_000))
    other = asyncio.ensure_future(
        sliding.ask(ALICE, {"conn_id": "room-list"}, plain["pos"], timeout_ms=30_000)
    )
    for _ in range(5):
        await asyncio.sleep(0)
    sent = sliding.message(ALICE)

    assert (await waiting)[2] == [sent]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not other.done()
    other.cancel()


async def test_a_place_that_nobody_gave_is_refused_and_one_ahead_comes_back(sliding):
    sliding.message(ALICE)
    for since in ("x", "s2", "s1~", "~5", "17"):
        with pytest.raises(InvalidParam):
            await ask(sliding, since)
    sliding.clock.ms += 1_000_000
    ahead = sliding.notifier.heard.advance(sliding.snowflakes.next(sliding.clock.ms)).encode()

    _, since, events = await ask(sliding, ahead)
    assert (since, events) == (ahead, [])
