import asyncio
from email.message import EmailMessage

import pytest

from homeserver.core.errors import Unavailable
from homeserver.runtime import smtp
from homeserver.runtime.smtp import MailFailed, MailSent, MailServer, Smtp
from tests.doubles.mailbox import Mailbox

pytestmark = pytest.mark.scenario


def message(subject="Hello"):
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "matrix@example.org", "a@example.org", subject
    made.set_content("Grüße")
    return made


class Observed:
    def __init__(self):
        self.seen = []
        self.something = asyncio.Event()

    def __call__(self, observation):
        self.seen.append(observation)
        self.something.set()


def server_at(port, **changes):
    return MailServer(**{
        "host": "127.0.0.1", "port": port, "tls": "none", "username": "", "password": "", "timeout_ms": 5_000,
        **changes,
    })  # fmt: skip


async def send(mailbox, server, **options):
    observed = Observed()
    sender = Smtp(server, observed, **options)
    sender.send(message())
    await asyncio.wait_for(observed.something.wait(), 20)
    await sender.close()
    return observed.seen


async def test_an_email_arrives():
    async with Mailbox() as mailbox:
        assert await send(mailbox, server_at(mailbox.port)) == [MailSent("Hello")]
        arrived = await mailbox.next()

    assert arrived["To"] == "a@example.org"
    assert arrived.get_content().strip() == "Grüße"


async def test_a_login_is_used_where_there_is_one():
    async with Mailbox(user=(b"isthmus", b"secret")) as mailbox:
        good = server_at(mailbox.port, username="isthmus", password="secret")
        bad = server_at(mailbox.port, username="isthmus", password="guess")
        assert await send(mailbox, good) == [MailSent("Hello")]
        (failed,) = await send(mailbox, bad, waits_s=())

    assert isinstance(failed, MailFailed)
    assert "guess" not in repr(failed)


async def test_what_is_refused_for_now_is_tried_again():
    async with Mailbox(refusals=2) as mailbox:
        assert await send(mailbox, server_at(mailbox.port), waits_s=(0, 0)) == [MailSent("Hello")]


async def test_what_nobody_takes_is_given_up():
    async with Mailbox() as mailbox:
        port = mailbox.port

    (failed,) = await send(None, server_at(port), waits_s=(0,))
    assert isinstance(failed, MailFailed)


async def test_no_more_wait_than_so_many(monkeypatch):
    monkeypatch.setattr(smtp, "_WAITING_MAX", 1)
    async with Mailbox() as mailbox:
        sender = Smtp(server_at(mailbox.port), Observed())
        sender.send(message())
        with pytest.raises(Unavailable):
            sender.send(message())
        await sender.close()
