"""Messages to devices through real crashes: each arrives exactly once, in its sender's order."""

import asyncio

import aiohttp
import pytest

from clients.load.api import ApiError, MatrixApi

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(120)]

MESSAGES = 150
SENDERS = 3


async def until_it_works(act):
    """Repeat as a good client does, until the server says yes."""
    while True:
        try:
            return await act()
        except (aiohttp.ClientError, ApiError):
            await asyncio.sleep(0.02)


async def send_all(sender, receiver, progress):
    """Send as a good client does: again with the same transaction ID; and now and then once too often."""
    for number in range(MESSAGES):
        path = f"/_matrix/client/v3/sendToDevice/m.test/t{number}"
        body = {"messages": {receiver.user_id: {"*": {"n": number}}}}
        for _ in range(2 if number % 10 == 0 else 1):
            await until_it_works(lambda path=path, body=body: sender.call("PUT", path, body))
        progress.append(number)


async def receive_all(receiver, found, count):
    """Sync as a good client does: keep the token with what came with it."""
    since = ""
    while len(found) < count:
        path = f"/_matrix/client/v3/sync?timeout=1000{since}"
        answer = await until_it_works(lambda path=path: receiver.call("GET", path))
        since = f"&since={answer['next_batch']}"
        events = answer.get("to_device", {}).get("events", [])
        found += [(event["sender"], event["content"]["n"]) for event in events]
    return since


async def test_kill_minus_nine_twice_loses_no_message_and_doubles_none(server):
    async with aiohttp.ClientSession() as http:
        receiver = MatrixApi(http, server.base_url)
        await receiver.register("receiver", None)
        senders = [MatrixApi(http, server.base_url) for _ in range(SENDERS)]
        for number, sender in enumerate(senders):
            await sender.register(f"sender{number}", None)
        found, progress = [], []
        receiving = asyncio.create_task(receive_all(receiver, found, SENDERS * MESSAGES))
        sending = [asyncio.create_task(send_all(sender, receiver, progress)) for sender in senders]
        for bound in (MESSAGES // 2, 2 * MESSAGES):
            while len(progress) < bound:  # noqa: ASYNC110 - a count, not an event, is due
                await asyncio.sleep(0.001)
            server.kill()
            await asyncio.to_thread(server.start)
        await asyncio.gather(*sending)
        since = await receiving
        rest = await receiver.call("GET", f"/_matrix/client/v3/sync?timeout=0{since}")

    assert "to_device" not in rest
    for sender in senders:
        assert [number for who, number in found if who == sender.user_id] == list(range(MESSAGES))
