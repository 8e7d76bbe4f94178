import asyncio

import pytest

from homeserver.core.errors import Unavailable
from homeserver.runtime.mailbox import Mailbox, MailboxClosed


async def test_messages_come_in_the_order_they_were_put():
    mailbox = Mailbox(3)
    for number in range(3):
        mailbox.put(number)

    assert [await mailbox.get() for _ in range(3)] == [0, 1, 2]


async def test_a_full_mailbox_refuses_with_a_retryable_error():
    mailbox = Mailbox(1)
    mailbox.put("first")

    with pytest.raises(Unavailable):
        mailbox.put("second")

    assert len(mailbox) == 1


async def test_the_reader_waits_and_is_woken():
    mailbox = Mailbox(1)
    reader = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    mailbox.put("message")

    assert await reader == "message"


async def test_a_reader_that_is_cancelled_loses_no_message():
    mailbox = Mailbox(2)
    reader = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    mailbox.put("message")
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader

    assert await mailbox.get() == "message"


async def test_a_closed_mailbox_is_read_to_the_end():
    mailbox = Mailbox(2)
    mailbox.put("last")
    mailbox.close()

    with pytest.raises(Unavailable):
        mailbox.put("late")
    assert await mailbox.get() == "last"
    with pytest.raises(MailboxClosed):
        await mailbox.get()


async def test_closing_wakes_the_reader():
    mailbox = Mailbox(1)
    reader = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    mailbox.close()

    with pytest.raises(MailboxClosed):
        await reader
    assert mailbox.is_closed


async def test_a_drained_mailbox_is_empty():
    mailbox = Mailbox(2)
    mailbox.put(1)
    mailbox.put(2)

    assert mailbox.drain() == [1, 2]
    assert len(mailbox) == 0
