"""Hands e-mail to a mail server: in the background, tried again a few times, few at once."""

import asyncio
from dataclasses import dataclass
from email.message import EmailMessage
from typing import ClassVar

import aiosmtplib

from homeserver.core.errors import Unavailable
from homeserver.runtime.observation import Level, Observation, Observer
from homeserver.runtime.tasks import Tasks

__all__ = ["MailFailed", "MailSent", "MailServer", "Smtp"]

_WAITING_MAX = 1_000
_AT_ONCE_MAX = 4
_WAITS_S = (2.0, 10.0)


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in.

    Attributes:
        host: its name.
        port: TCP port.
        tls: `starttls`, `tls` or `none`.
        username: to log in with; empty: without.
        password: of that user.
        timeout_ms: for one e-mail.
    """

    host: str
    port: int
    tls: str
    username: str
    password: str
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class MailSent(Observation):
    """An e-mail was handed to the mail server."""

    level: ClassVar[Level] = Level.DEBUG
    subject: str


@dataclass(frozen=True, slots=True)
class MailFailed(Observation):
    """An e-mail could not be handed to the mail server, and is given up."""

    level: ClassVar[Level] = Level.ERROR
    subject: str
    reason: str


class Smtp:
    """Sends e-mail.

    Args:
        server: where it is handed in.
        observer: told what became of each.
        waits_s: how long to wait before each further try.
    """

    def __init__(
        self, server: MailServer, observer: Observer, *, waits_s: tuple[float, ...] = _WAITS_S
    ) -> None:
        self._server = server
        self._observer = observer
        self._waits_s = waits_s
        self._tasks = Tasks(observer)
        self._at_once = asyncio.Semaphore(_AT_ONCE_MAX)

    def send(self, message: EmailMessage) -> None:
        """Send a message in the background.

        Raises:
            Unavailable: too many wait already.
        """
        if len(self._tasks) >= _WAITING_MAX:
            raise Unavailable("Too much e-mail waits to be sent; try again later.")
        self._tasks.start(self._deliver(message), "e-mail")

    async def close(self) -> None:
        """Give up what is not sent yet."""
        await self._tasks.close()

    async def _deliver(self, message: EmailMessage) -> None:
        for wait_s in (*self._waits_s, None):
            try:
                async with self._at_once:
                    await self._hand_in(message)
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                if wait_s is None:
                    # What a mail server says may hold the address, which is no secret to the operator.
                    self._observer(MailFailed(str(message["Subject"]), f"{type(error).__name__}: {error}"))
                    return
                await asyncio.sleep(wait_s)
            else:
                self._observer(MailSent(str(message["Subject"])))
                return

    async def _hand_in(self, message: EmailMessage) -> None:
        server = self._server
        await aiosmtplib.send(
            message,
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            username=server.username or None,
            password=server.password or None,
            timeout=server.timeout_ms / 1000,
        )
