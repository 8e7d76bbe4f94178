"""The device authorization grant: a client without a browser waits while its user decides in another one.

Spec: https://spec.matrix.org/v1.19/client-server-api/#device-authorisation-flow and RFC 8628
"""

from collections import OrderedDict
from dataclasses import dataclass

from homeserver.accounts.oauth.clients import OAuthClients
from homeserver.accounts.oauth.sessions import GrantedTokens, OAuthSessions
from homeserver.accounts.token_format import hash_of
from homeserver.core.errors import LimitExceeded, NotFound, Unavailable
from homeserver.core.oauth.client_metadata import DEVICE_CODE, ClientMetadata
from homeserver.core.oauth.errors import OAuthError
from homeserver.core.oauth.scopes import Scope, parse_scope
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from homeserver.runtime.token_bucket import TokenBucket
from storage.pool import Database
from storage.tables import oauth_device_grants as rows

__all__ = ["INTERVAL_MS", "LIFETIME_MS", "DeviceGrants", "Guesses", "WaitingClient", "shown_code"]

LIFETIME_MS = 15 * 60_000
"""How long a user has to find a browser and decide."""

INTERVAL_MS = 5_000
"""How long a client waits between two questions; who asks faster has to wait longer from then on."""

WAITING_MAX = 5_000
"""More clients than this do not wait at once."""

# RFC 8628, section 6.1: no vowels, so that no words come out. 8 of 20 letters: 34 bits.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8
_INTERVAL_MS_MAX = 60_000


def shown_code(user_code: str) -> str:
    """A user code in two halves, as people read it."""
    return f"{user_code[:4]}-{user_code[4:]}"


def _typed_code(text: str) -> str:
    """What somebody means who typed a code, with whatever between the letters."""
    return "".join(letter for letter in text.upper()[:100] if letter in _LETTERS)


@dataclass(frozen=True, slots=True)
class WaitingClient:
    """A client that waits for a decision.

    Attributes:
        user_code: by which it was found.
        metadata: what it says of itself.
        scope: what it asks for.
    """

    user_code: str
    metadata: ClientMetadata
    scope: Scope


class Guesses:
    """Slows down who types wrong codes, by account and by address.

    Args:
        clock: tells the time.
        per_second: wrong codes in the long run.
        burst: wrong codes at once.
        keys_max: how many accounts and addresses are watched; the longest quiet is forgotten first.
    """

    def __init__(
        self, clock: Clock, *, per_second: float = 1 / 60, burst: int = 5, keys_max: int = 10_000
    ) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._keys_max = keys_max
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one code before it is looked at, so that many at once count as well.

        Raises:
            LimitExceeded: too many were wrong lately.
        """
        now_ms = self._clock.monotonic_ms()
        bucket = self._buckets.get(key)
        if bucket is None:
            while len(self._buckets) >= self._keys_max:
                self._buckets.popitem(last=False)
            bucket = self._buckets[key] = TokenBucket(self._per_second, self._burst, now_ms)
        self._buckets.move_to_end(key)
        if retry_after_ms := bucket.take(now_ms):
            raise LimitExceeded("Too many wrong codes; try again in a minute.", retry_after_ms=retry_after_ms)

    def give_back(self, key: str) -> None:
        """Take the count back: the code was right."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.take(self._clock.monotonic_ms(), -1.0)


class DeviceGrants:
    """Lets clients wait, users decide, and clients fetch what was decided."""

    def __init__(
        self,
        *,
        database: Database,
        clients: OAuthClients,
        sessions: OAuthSessions,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._clients = clients
        self._sessions = sessions
        self._clock = clock
        self._randomness = randomness
        self._guesses = Guesses(clock)

    async def begin(self, client_id: str, scope: str) -> tuple[str, str]:
        """Let a client wait; returns its device code, and the user code to show.

        Raises:
            InvalidClient: there is no such client.
            OAuthError: it may not use this grant, or the scope is not acceptable.
            Unavailable: too many wait already.
        """
        metadata = await self._clients.find(client_id)
        if DEVICE_CODE not in metadata.grant_types:
            raise OAuthError("unauthorized_client", "The client is not registered for this grant.")
        parsed = parse_scope(scope)
        now_ms = self._clock.now_ms()
        # Those whose time is over are kept a little, so that they can be told so.
        await rows.delete_older_than(self._database, now_ms - 2 * LIFETIME_MS)
        if await rows.count_up_to(self._database, WAITING_MAX) >= WAITING_MAX:
            raise Unavailable("Too many devices wait for their users just now; try again later.")
        device_code = self._randomness.token_urlsafe(32)
        while True:
            user_code = self._randomness.letters(_LENGTH, _LETTERS)
            row = rows.DeviceGrantRow(user_code, client_id, parsed.text, now_ms, 0, INTERVAL_MS)
            if await rows.add(self._database, hash_of(device_code), row):
                return device_code, user_code

    async def find(self, typed: str, *, user_id: str, address: str) -> WaitingClient:
        """Who waits for a code.

        Args:
            typed: the code, however it was typed.
            user_id: who typed it.
            address: from where.

        Raises:
            LimitExceeded: too many wrong codes lately, of this user or from there.
            NotFound: nobody waits for this code.
        """
        keys = (user_id, address)
        for key in keys:
            self._guesses.take(key)
        row = await rows.find_undecided(self._database, _typed_code(typed), self._created_after_ms())
        if row is None:
            raise NotFound("Nobody waits for this code. Look whether it is right and still shown there.")
        for key in keys:
            self._guesses.give_back(key)
        return WaitingClient(row.user_code, await self._clients.find(row.client_id), parse_scope(row.scope))

    async def decide(self, waiting: WaitingClient, *, user_id: str, is_allowed: bool) -> None:
        """Store a user's decision.

        Raises:
            NotFound: it is too late, or somebody else has decided.
        """
        decided = await rows.decide(
            self._database, waiting.user_code, user_id=user_id, is_allowed=is_allowed,
            created_after_ms=self._created_after_ms(),
        )  # fmt: skip
        if not decided:
            raise NotFound("The code is not good any more; begin again on the device.")

    async def fetch(self, device_code: str, client_id: str) -> GrantedTokens:
        """Tokens for a device code, once its user has allowed it.

        Raises:
            InvalidClient: there is no such client.
            OAuthError: `authorization_pending`, `slow_down`, `access_denied`, `expired_token`, or
                `invalid_grant` for a code that is unknown, of another client, or was used before.
        """
        client = await self._clients.find(client_id)
        code_hash = hash_of(device_code)
        name = client.shown_as("client_name") or client.host
        async with self._database.transaction() as transaction:
            row = await rows.lock(transaction, code_hash)
            if row is None or row.client_id != client_id:
                raise OAuthError("invalid_grant", "This device code is unknown.")
            used_for, error = row.session_id, self._not_yet(row)
            if error is not None:
                longer = INTERVAL_MS if error.code == "slow_down" else 0
                interval_ms = min(row.interval_ms + longer, _INTERVAL_MS_MAX)
                await rows.set_poll(transaction, code_hash, self._clock.now_ms(), interval_ms)
            elif used_for is None:
                assert row.user_id is not None, "somebody has allowed it"
                granted, ended = await self._sessions.open(
                    transaction, user_id=row.user_id, client_id=client_id, client_name=name,
                    scope=parse_scope(row.scope),
                )  # fmt: skip
                await rows.set_session(transaction, code_hash, granted.session_id)
        if error is not None:
            raise error
        if used_for is not None:
            await self._sessions.end(used_for)
            raise OAuthError("invalid_grant", "This code was used before; the session has been ended.")
        self._sessions.forget(ended)
        return granted

    def _not_yet(self, row: rows.DeviceGrantRow) -> OAuthError | None:
        """Why a client gets no tokens; None if it does."""
        now_ms = self._clock.now_ms()
        if row.session_id is not None:
            return None
        if row.created_ms + LIFETIME_MS <= now_ms:
            return OAuthError("expired_token", "The user took too long; begin again.")
        if row.user_id is not None:
            if row.is_allowed:
                return None
            return OAuthError("access_denied", "The user did not allow it.")
        # A second of grace: networks are not even.
        if row.polled_ms + row.interval_ms - 1_000 > now_ms:
            return OAuthError("slow_down", "Wait longer between two questions.")
        return OAuthError("authorization_pending", "The user has not decided yet.")

    def _created_after_ms(self) -> int:
        return self._clock.now_ms() - LIFETIME_MS
