"""Device sessions that clients get by a grant: opened, refreshed, and ended when something is wrong.

The access tokens are those of every other login; what a client got by OAuth 2.0 is a device like others.

Spec: https://spec.matrix.org/v1.19/client-server-api/#refresh-token-grant
"""

from dataclasses import dataclass
from typing import Any

from homeserver.accounts.access_tokens import AccessTokens
from homeserver.accounts.devices import Devices
from homeserver.accounts.oauth.refresh_token_form import RefreshClaims, RefreshTokenForm
from homeserver.accounts.token_format import Claims, TokenFormat, hash_of
from homeserver.core.oauth.errors import OAuthError
from homeserver.core.oauth.scopes import Scope
from homeserver.runtime.clock import Clock
from storage.pool import Database, Transaction
from storage.tables import devices as device_rows
from storage.tables import oauth_clients, oauth_sessions, tokens

__all__ = ["GrantedTokens", "OAuthSessions"]

_REPLAYED = "This refresh token was replaced and used again; the session has been ended. Sign in again."


def _stored_hash(token: str) -> bytes:
    # Not the hash that `POST /refresh` of the legacy API looks for: that one asks for no client.
    return hash_of("oauth:" + token)


@dataclass(frozen=True, slots=True)
class GrantedTokens:
    """What a client is given.

    Attributes:
        session_id: the device session.
        access_token: for the client-server API.
        refresh_token: for the token endpoint.
        expires_in_ms: of the access token; None if it has no end.
        scope: that was granted.
    """

    session_id: int
    access_token: str
    refresh_token: str
    expires_in_ms: int | None
    scope: str

    def body(self) -> dict[str, Any]:
        """The response of the token endpoint."""
        fields: dict[str, Any] = {
            "access_token": self.access_token,
            "token_type": "Bearer",
            "refresh_token": self.refresh_token,
            "scope": self.scope,
        }
        if self.expires_in_ms is not None:
            fields["expires_in"] = max(1, self.expires_in_ms // 1_000)
        return fields


class OAuthSessions:
    """Opens, refreshes and ends device sessions of clients.

    Args:
        database: where they are.
        access_tokens: told of what ended.
        devices: forgets the devices of sessions that end.
        token_format: signs access tokens.
        refresh_form: signs refresh tokens.
        clock: tells the time.
        lifetime_ms: of an access token; 0: it does not end.
    """

    def __init__(
        self,
        *,
        database: Database,
        access_tokens: AccessTokens,
        devices: Devices,
        token_format: TokenFormat,
        refresh_form: RefreshTokenForm,
        clock: Clock,
        lifetime_ms: int,
    ) -> None:
        self._database = database
        self._access_tokens = access_tokens
        self._devices = devices
        self._format = token_format
        self._refresh_form = refresh_form
        self._clock = clock
        self._lifetime_ms = lifetime_ms

    async def open(
        self, transaction: Transaction, *, user_id: str, client_id: str, client_name: str, scope: Scope
    ) -> tuple[GrantedTokens, list[int]]:
        """Start a session, in a transaction of the caller.

        Returns:
            The tokens, and the sessions that ended: to be told to `forget` after the commit.

        Raises:
            OAuthError: `invalid_grant`: the account was locked or deactivated meanwhile.
        """
        if not await oauth_sessions.is_usable(transaction, user_id):
            raise OAuthError("invalid_grant", "This account is locked or deactivated.")
        now_ms = self._clock.now_ms()
        await device_rows.ensure(transaction, user_id, scope.device_id, client_name, now_ms)
        session_id, ended = await tokens.open_session(transaction, user_id, scope.device_id, now_ms)
        await oauth_sessions.add(transaction, session_id, client_id, scope.text)
        return await self._grant(transaction, session_id, 0, scope.text), ended

    def forget(self, session_ids: list[int]) -> None:
        """Drop what is known of the tokens of sessions that ended."""
        self._access_tokens.forget_sessions(session_ids)

    async def refresh(self, refresh_token: str, client_id: str) -> GrantedTokens:
        """Exchange a refresh token for new tokens; it stays good until one of these is used.

        So a client whose answer was lost can ask again. A token that comes after that is a replay: one of
        two who have it is a thief, and the session ends for both.

        Raises:
            OAuthError: `invalid_grant`: not a refresh token of this client, or a replayed one.
        """
        claims = self._refresh_form.read(refresh_token)
        if claims is None:
            raise OAuthError("invalid_grant", "This is no refresh token of this server.")
        async with self._database.transaction() as transaction:
            session = await oauth_sessions.lock(transaction, claims.session_id)
            if session is None:
                raise OAuthError("invalid_grant", "This session has ended; sign in again.")
            if session.client_id != client_id:
                raise OAuthError("invalid_grant", "This refresh token belongs to another client.")
            known = await tokens.find_refresh_token(transaction, _stored_hash(refresh_token))
            is_replayed = known is None or claims.generation < session.generation_min
            if not is_replayed:
                granted = await self._rotate(transaction, claims, session.scope)
                await oauth_clients.touch(transaction, client_id, self._clock.now_ms())
        if is_replayed:
            await self._devices.delete(session.user_id, [session.device_id])
            raise OAuthError("invalid_grant", _REPLAYED)
        self.forget([claims.session_id])
        return granted

    async def revoke(self, token: str) -> None:
        """End the session that an access or refresh token belongs to; anything else is no matter.

        Whoever holds the token may do so: who has found one helps by it. A token that was replaced ends its
        session as well.
        """
        access, refresh = self._format.read(token), self._refresh_form.read(token)
        claims = access or refresh
        if claims is not None:
            await self.end(claims.session_id)

    async def end(self, session_id: int) -> None:
        """End a session and forget its device."""
        owner = await oauth_sessions.device_of(self._database, session_id)
        if owner is not None:
            await self._devices.delete(owner[0], [owner[1]])

    async def _rotate(self, transaction: Transaction, claims: RefreshClaims, scope: str) -> GrantedTokens:
        await tokens.revoke_generations_below(transaction, claims.session_id, claims.generation)
        generation = await tokens.next_generation(transaction, claims.session_id)
        assert generation is not None, "the session is locked by this transaction"
        return await self._grant(transaction, claims.session_id, generation, scope)

    async def _grant(
        self, transaction: Transaction, session_id: int, generation: int, scope: str
    ) -> GrantedTokens:
        refresh_token = self._refresh_form.create(RefreshClaims(session_id, generation))
        await tokens.add_refresh_token(transaction, _stored_hash(refresh_token), session_id, generation)
        expires_ms = self._clock.now_ms() + self._lifetime_ms if self._lifetime_ms else None
        access_token = self._format.sign(Claims(session_id, generation, expires_ms))
        return GrantedTokens(session_id, access_token, refresh_token, self._lifetime_ms or None, scope)
