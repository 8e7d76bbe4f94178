"""A mail server that keeps what it is sent, and a sender of text messages that does."""

import asyncio
import email
import email.policy
import re
import warnings
from typing import ClassVar
from urllib.parse import urlsplit

from aiosmtpd.smtp import SMTP, AuthResult


class Mailbox:
    """Listens on a free port while it is open."""

    def __init__(self, *, refusals=0, user=None):
        self.messages = []
        self.refusals = refusals
        self.user = user
        self._arrived = asyncio.Event()
        self._server = None
        self.port = 0

    async def __aenter__(self):
        options = {"hostname": "mail.test"}
        if self.user is not None:
            options |= {"authenticator": self._authenticate, "auth_required": True, "auth_require_tls": False}
        def connected():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a login without TLS is unwise: this is loopback
                return SMTP(self, **options)

        self._server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        if self.refusals:
            self.refusals -= 1
            return "451 Try again"
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self._arrived.set()
        return "250 Kept"

    def _authenticate(self, _server, _session, _envelope, _mechanism, data):
        return AuthResult(success=(data.login, data.password) == self.user)

    async def next(self):
        """The next message that arrives."""
        while not self.messages:
            await asyncio.wait_for(self._arrived.wait(), 20)
            self._arrived.clear()
        return self.messages.pop(0)

    async def next_link(self):
        """Path and query of the link in the next message."""
        text = (await self.next()).get_content()
        link = urlsplit(re.search(r"https?://\S+", text)[0])
        return f"{link.path}?{link.query}"


class TextMessages:
    """Keeps the text messages of a whole process."""

    sent: ClassVar = []

    def send(self, number, text):
        self.sent.append((number, text))
