"""Authorization codes: given to a browser, exchanged by the client that asked, once.

Spec: https://spec.matrix.org/v1.19/client-server-api/#authorisation-code-flow
"""

from homeserver.accounts.oauth.clients import OAuthClients
from homeserver.accounts.oauth.sessions import GrantedTokens, OAuthSessions
from homeserver.accounts.token_format import hash_of
from homeserver.core.oauth.authorization_request import AuthorizationRequest
from homeserver.core.oauth.errors import OAuthError
from homeserver.core.oauth.pkce import is_verified
from homeserver.core.oauth.scopes import parse_scope
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import oauth_clients, oauth_codes

__all__ = ["LIFETIME_MS", "AuthorizationCodes"]

LIFETIME_MS = 60_000
"""How long a code may take from the browser to the client and back to us."""

_KEPT_MS = 3_600_000
"""How long it is remembered that a code was exchanged."""

_REUSED = "This code was used before; the session has been ended. Sign in again."


class AuthorizationCodes:
    """Gives codes out and exchanges them."""

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

    async def issue(self, user_id: str, request: AuthorizationRequest) -> str:
        """A code that says: this user has granted this request."""
        code = self._randomness.token_urlsafe(32)
        now_ms = self._clock.now_ms()
        await oauth_codes.delete_older_than(self._database, now_ms - _KEPT_MS)
        row = oauth_codes.CodeRow(
            client_id=request.client_id,
            user_id=user_id,
            device_id=request.scope.device_id,
            scope=request.scope.text,
            redirect_uri=request.address.redirect_uri,
            code_challenge=request.code_challenge,
            created_ms=now_ms,
        )
        async with self._database.transaction() as transaction:
            await oauth_clients.touch(transaction, request.client_id, now_ms)
            await oauth_codes.add(transaction, hash_of(code), row)
        return code

    async def exchange(
        self, code: str, *, client_id: str, redirect_uri: str, code_verifier: str
    ) -> GrantedTokens:
        """Tokens for a code. A code that comes twice ends the session that it was exchanged for.

        Raises:
            InvalidClient: there is no such client.
            OAuthError: `invalid_grant`: not a code, or not of this client, or without the right verifier.
        """
        client = await self._clients.find(client_id)
        code_hash = hash_of(code)
        name = client.shown_as("client_name") or client.host
        async with self._database.transaction() as transaction:
            row = self._checked(
                await oauth_codes.lock(transaction, code_hash), client_id, redirect_uri, code_verifier
            )
            used_for = row.session_id
            if used_for is None:
                granted, ended = await self._sessions.open(
                    transaction, user_id=row.user_id, client_id=client_id, client_name=name,
                    scope=parse_scope(row.scope),
                )  # fmt: skip
                await oauth_codes.set_session(transaction, code_hash, granted.session_id)
        if used_for is not None:
            await self._sessions.end(used_for)
            raise OAuthError("invalid_grant", _REUSED)
        self._sessions.forget(ended)
        return granted

    def _checked(
        self, row: oauth_codes.CodeRow | None, client_id: str, redirect_uri: str, code_verifier: str
    ) -> oauth_codes.CodeRow:
        if row is None:
            raise OAuthError("invalid_grant", "This code is unknown.")
        if row.client_id != client_id:
            raise OAuthError("invalid_grant", "This code belongs to another client.")
        if row.redirect_uri != redirect_uri:
            raise OAuthError("invalid_grant", "This is not the redirect_uri that the code was sent to.")
        if not is_verified(row.code_challenge, code_verifier):
            raise OAuthError("invalid_grant", "The code_verifier does not fit the code_challenge.")
        if row.session_id is None and row.created_ms + LIFETIME_MS <= self._clock.now_ms():
            raise OAuthError("invalid_grant", "This code is too old; begin again.")
        return row
