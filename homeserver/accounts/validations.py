"""Shows that an address is somebody's: a secret is sent there, and whoever brings it back has shown it.

Spec: https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information
"""

import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from homeserver.accounts.addresses import EMAIL
from homeserver.accounts.token_format import hash_of
from homeserver.core.errors import (
    InvalidParam,
    LimitExceeded,
    SessionExpired,
    ThreepidAuthFailed,
    TokenIncorrect,
)
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from homeserver.runtime.token_bucket import TokenBucket
from storage.pool import Database
from storage.tables import threepids
from storage.tables.threepids import ValidationRow

__all__ = ["ADD", "LIFETIME_MS", "REGISTER", "RESET", "Messages", "ValidationRequest", "Validations"]

REGISTER, RESET, ADD = "register", "reset", "add"

LIFETIME_MS = 60 * 60 * 1000
_TRIES_MAX = 10
_ADDRESSES_MAX = 10_000
_SENDS_PER_SECOND, _SENDS_AT_ONCE = 1 / 300, 5
_SEND_ATTEMPT_MAX = 2**53
_LINK_CHARACTERS_MAX = 2_048
_CLIENT_SECRET = re.compile(r"[0-9A-Za-z.=_-]{1,255}")


class Messages(Protocol):
    """Sends secrets to addresses."""

    def send_token(self, validation: ValidationRow, token: str) -> None:
        """Send the secret that shows whose the address is; returns at once."""

    def send_refusal(self, validation: ValidationRow) -> None:
        """Tell whoever reads the address that there is an account already, or none; returns at once."""


@dataclass(frozen=True, slots=True)
class ValidationRequest:
    """What a client asks for.

    Attributes:
        purpose: `REGISTER`, `RESET` or `ADD`.
        medium: `email` or `msisdn`.
        address: in its canonical form.
        client_secret: made up by the client.
        send_attempt: a higher one sends again.
        next_link: where the browser goes afterwards.
    """

    purpose: str
    medium: str
    address: str
    client_secret: str
    send_attempt: int
    next_link: str | None = None


class Validations:
    """Keeps the validations under way.

    Args:
        database: where they are.
        messages: sends the secrets.
        clock: ends them.
        randomness: makes up secrets.
    """

    def __init__(
        self, *, database: Database, messages: Messages, clock: Clock, randomness: Randomness
    ) -> None:
        self._database = database
        self._messages = messages
        self._clock = clock
        self._randomness = randomness
        self._sends: OrderedDict[str, TokenBucket] = OrderedDict()

    async def request(self, asked: ValidationRequest, *, is_wanted: bool = True) -> str:
        """Send a secret to an address; returns the sid by which the client goes on.

        Args:
            asked: what the client asks for.
            is_wanted: False: nothing can come of it, since somebody has the address already, or nobody. The
                client is told nothing of that; the address is.

        Raises:
            InvalidParam: a client secret, attempt or link that cannot be.
            LimitExceeded: too much was sent to the address lately.
        """
        _check(asked)
        now_ms = self._clock.now_ms()
        await threepids.forget_old_validations(self._database, now_ms - LIFETIME_MS)
        token = self._token(asked.medium)
        row = ValidationRow(
            self._randomness.token_urlsafe(18), asked.purpose, asked.medium, asked.address,
            asked.client_secret, hash_of(token), asked.send_attempt, next_link=asked.next_link,
        )  # fmt: skip
        self._count_send(asked)
        sid, is_new = await threepids.open_validation(self._database, row, now_ms)
        if is_new and is_wanted:
            self._messages.send_token(_with_sid(row, sid), token)
        elif is_new:
            self._messages.send_refusal(row)
        return sid

    async def submit(self, sid: str, client_secret: str, token: str) -> str | None:
        """Bring a secret back; returns where the browser is to go then, if anywhere.

        Raises:
            SessionExpired: there is no such validation (any more), or too many secrets were tried.
            TokenIncorrect: it is not the secret.
        """
        row = await self._find(sid, client_secret)
        if row is None or not await threepids.count_try(self._database, sid, _TRIES_MAX):
            raise SessionExpired("There is no such validation (any more); begin again.")
        if not hmac.compare_digest(row.token_hash, hash_of(token)):
            raise TokenIncorrect("That is not what was sent to the address.")
        await threepids.set_validated(self._database, sid, self._clock.now_ms())
        return row.next_link

    async def validated(self, sid: str, client_secret: str, purpose: str) -> ValidationRow:
        """Look at a validation that is done.

        Raises:
            ThreepidAuthFailed: it is not done, there is none, or it is for something else.
        """
        row = await self._find(sid, client_secret)
        if row is None or row.purpose != purpose or row.validated_ms is None:
            raise ThreepidAuthFailed("The address is not validated; follow the link that was sent to it.")
        return row

    async def take(self, sid: str) -> bool:
        """Use a validation up; False if it was used already."""
        return await threepids.take_validated(self._database, sid)

    async def _find(self, sid: str, client_secret: str) -> ValidationRow | None:
        if "\0" in sid:
            return None
        oldest_ms = self._clock.now_ms() - LIFETIME_MS
        row = await threepids.find_validation(self._database, sid, oldest_ms)
        if row is None or not hmac.compare_digest(_bytes(row.client_secret), _bytes(client_secret)):
            return None
        return row

    def _token(self, medium: str) -> str:
        # A link carries any secret; one that is typed must be short, and few guesses are let in.
        if medium == EMAIL:
            return self._randomness.token_urlsafe(24)
        return self._randomness.letters(6, "0123456789")

    def _count_send(self, asked: ValidationRequest) -> None:
        key, now_ms = f"{asked.medium} {asked.address}", self._clock.monotonic_ms()
        bucket = self._sends.get(key)
        if bucket is None:
            while len(self._sends) >= _ADDRESSES_MAX:
                self._sends.popitem(last=False)
            bucket = self._sends[key] = TokenBucket(_SENDS_PER_SECOND, _SENDS_AT_ONCE, now_ms)
        self._sends.move_to_end(key)
        if retry_after_ms := bucket.take(now_ms):
            raise LimitExceeded("Too much was sent to this address lately.", retry_after_ms=retry_after_ms)


def _with_sid(row: ValidationRow, sid: str) -> ValidationRow:
    return ValidationRow(
        sid, row.purpose, row.medium, row.address, row.client_secret, row.token_hash, row.send_attempt,
        next_link=row.next_link,
    )  # fmt: skip


def _check(asked: ValidationRequest) -> None:
    if not _CLIENT_SECRET.fullmatch(asked.client_secret):
        raise InvalidParam("The client secret must have 1 to 255 of the characters A-Z, a-z, 0-9 and .=_-")
    if not 0 <= asked.send_attempt <= _SEND_ATTEMPT_MAX:
        raise InvalidParam("The send attempt must be a number that grows with each attempt.")
    link = asked.next_link
    if link is None:
        return
    is_odd = len(link) > _LINK_CHARACTERS_MAX or not link.isprintable()
    if is_odd or not link.startswith(("https://", "http://")):
        raise InvalidParam("The next link must be an HTTP or HTTPS URL.")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
