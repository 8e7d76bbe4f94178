"""Access tokens: issued to device sessions, verified once, then known by their hash until revoked.

Spec: https://spec.matrix.org/v1.19/client-server-api/#client-authentication
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from homeserver.accounts.token_format import Claims, TokenFormat, create_refresh_token, hash_of
from homeserver.core.errors import LockedOut, UnknownToken, UserLocked
from homeserver.core.requester import Admission, Requester
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import account_states, devices, tokens

__all__ = ["AccessTokens", "IssuedTokens"]


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """What a client is given after it logged in or refreshed.

    Attributes:
        access_token: opaque to the client.
        device_id: the device it is bound to.
        expires_in_ms: None if the token has no end.
        refresh_token: None if the client did not ask for one.
    """

    access_token: str
    device_id: str
    expires_in_ms: int | None
    refresh_token: str | None

    def body(self) -> dict[str, str | int]:
        """The fields of the response that tell the client."""
        fields: dict[str, str | int] = {"access_token": self.access_token, "device_id": self.device_id}
        if self.expires_in_ms is not None:
            fields["expires_in_ms"] = self.expires_in_ms
        if self.refresh_token is not None:
            fields["refresh_token"] = self.refresh_token
        return fields


class AccessTokens:
    """Issues, knows and forgets access tokens.

    Args:
        lifetime_ms: of an access token that comes with a refresh token; others do not end. 0: none do.
        known_max: how many verified tokens are kept in memory.
    """

    def __init__(
        self,
        *,
        database: Database,
        token_format: TokenFormat,
        clock: Clock,
        randomness: Randomness,
        lifetime_ms: int = 0,
        known_max: int = 50_000,
    ) -> None:
        assert lifetime_ms >= 0
        assert known_max >= 1
        self._database = database
        self._format = token_format
        self._clock = clock
        self._randomness = randomness
        self._lifetime_ms = lifetime_ms
        self._known_max = known_max
        self._known: OrderedDict[bytes, Admission] = OrderedDict()
        self._hashes_of_session: dict[int, set[bytes]] = {}
        # Counts revocations: what was read before one may not be remembered after it.
        self._revocations = 0

    async def authenticate(self, token: str) -> Requester:
        """Tell whose the token is.

        Raises:
            UnknownToken: not a token of ours, or not any more. With `soft_logout` if the session lives on, so
                that the client may refresh the token or log in again and keep what it has stored.
            LockedOut: the account is locked.
        """
        admission = self.known(token)
        return await self._verify(token, hash_of(token)) if admission is None else admission.requester

    def known(self, token: str) -> Admission | None:
        """Tell what a token stands for, if that can be said without looking it up."""
        token_hash = hash_of(token)
        known = self._known.get(token_hash)
        if known is None or known.expires_ms <= self._clock.now_ms():
            return None
        self._known.move_to_end(token_hash)
        return known

    def is_valid(self, admission: Admission) -> bool:
        """Say whether what a token stood for is so still."""
        return admission.is_good and admission.expires_ms > self._clock.now_ms()

    async def issue(
        self,
        user_id: str,
        device_id: str,
        *,
        display_name: str | None = None,
        with_refresh_token: bool = False,
    ) -> IssuedTokens:
        """Start a session on a device, which is made if need be; ends the session that the device had."""
        now_ms = self._clock.now_ms()
        async with self._database.transaction() as transaction:
            await devices.ensure(transaction, user_id, device_id, display_name, now_ms)
            session_id, ended = await tokens.open_session(transaction, user_id, device_id, now_ms)
            refresh_token = create_refresh_token(self._randomness) if with_refresh_token else None
            if refresh_token is not None:
                await tokens.add_refresh_token(transaction, hash_of(refresh_token), session_id, 0)
        self.forget_sessions(ended)
        # A client that cannot refresh its token would only be logged out by its end.
        expires_ms = self._expires_ms() if with_refresh_token else None
        return self._issued(Claims(session_id, 0, expires_ms), device_id, refresh_token)

    async def refresh(self, refresh_token: str) -> IssuedTokens:
        """Exchange a refresh token for new tokens; it stays good until one of these is used.

        Raises:
            UnknownToken: not a refresh token, or one that was replaced.
            UserLocked: the account is locked.
        """
        async with self._database.transaction() as transaction:
            old = await tokens.find_refresh_token(transaction, hash_of(refresh_token))
            if old is None:
                raise UnknownToken("This refresh token is not valid (any more); log in again.")
            state = await account_states.find(transaction, old.user_id)
            if state is not None and state.is_locked:
                raise UserLocked("This account has been locked.", soft_logout=True)
            await tokens.revoke_generations_below(transaction, old.session_id, old.generation)
            generation = await tokens.next_generation(transaction, old.session_id)
            assert generation is not None, "the session is locked by this transaction"
            new_token = create_refresh_token(self._randomness)
            await tokens.add_refresh_token(transaction, hash_of(new_token), old.session_id, generation)
        self.forget_sessions([old.session_id])
        return self._issued(Claims(old.session_id, generation, self._expires_ms()), old.device_id, new_token)

    def forget_sessions(self, session_ids: Iterable[int]) -> None:
        """Drop what is known of the tokens of sessions that ended or changed; they are looked up again."""
        self._revocations += 1
        for session_id in session_ids:
            for token_hash in self._hashes_of_session.pop(session_id, ()):
                known = self._known.pop(token_hash, None)
                if known is not None:
                    known.is_good = False

    def forget_all(self) -> None:
        """Drop everything known, as after a change of an account that many sessions show."""
        self._revocations += 1
        for known in self._known.values():
            known.is_good = False
        self._known.clear()
        self._hashes_of_session.clear()

    async def _verify(self, token: str, token_hash: bytes) -> Requester:
        self._forget(token_hash)
        claims = self._format.read(token)
        if claims is None:
            raise UnknownToken("This access token is not valid; log in again.")
        revocations = self._revocations
        session = await tokens.find_session(self._database, claims.session_id)
        if session is None:
            raise UnknownToken("This session has ended; log in again.")
        if claims.generation < session.generation_min:
            raise UnknownToken("This access token was replaced by a newer one.", soft_logout=True)
        if claims.expires_ms is not None and claims.expires_ms <= self._clock.now_ms():
            raise UnknownToken("This access token has expired; refresh it or log in again.", soft_logout=True)
        requester = Requester(
            session.user_id, session.device_id, claims.session_id, session.is_admin, session.is_guest,
            session.is_suspended,
        )  # fmt: skip
        if session.is_locked:
            raise LockedOut(requester)
        if claims.generation > session.generation_min:
            # The first use of refreshed tokens proves that the client has them; now the old ones may go.
            await tokens.revoke_generations_below(self._database, claims.session_id, claims.generation)
            self.forget_sessions([claims.session_id])
            revocations += 1
        if revocations == self._revocations:
            self._remember(token_hash, requester, claims.expires_ms)
        return requester

    def _remember(self, token_hash: bytes, requester: Requester, expires_ms: int | None) -> None:
        while len(self._known) >= self._known_max:
            self._forget(next(iter(self._known)))
        self._known[token_hash] = Admission(requester, float("inf") if expires_ms is None else expires_ms)
        self._hashes_of_session.setdefault(requester.session_id, set()).add(token_hash)

    def _forget(self, token_hash: bytes) -> None:
        known = self._known.pop(token_hash, None)
        if known is None:
            return
        known.is_good = False
        session_id = known.requester.session_id
        hashes = self._hashes_of_session[session_id]
        hashes.discard(token_hash)
        if not hashes:
            del self._hashes_of_session[session_id]

    def _expires_ms(self) -> int | None:
        return self._clock.now_ms() + self._lifetime_ms if self._lifetime_ms else None

    def _issued(self, claims: Claims, device_id: str, refresh_token: str | None) -> IssuedTokens:
        expires_in_ms = (self._lifetime_ms or None) if refresh_token is not None else None
        return IssuedTokens(self._format.sign(claims), device_id, expires_in_ms, refresh_token)
