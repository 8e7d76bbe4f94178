"""Browsers on their way to a provider and back: each comes back once, in time, and is the one that was sent.

Spec: https://spec.matrix.org/v1.19/client-server-api/#client-login-via-sso and RFC 9700
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from homeserver.accounts.sso.provider import Authorization, Provider
from homeserver.accounts.token_format import hash_of
from homeserver.core.errors import Forbidden, NotFound, Unavailable
from homeserver.core.oauth.id_token import IdTokenError
from homeserver.core.oauth.provider_metadata import MetadataError
from homeserver.core.oauth.upstream_claims import Person
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Level, Observation, Observer
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import upstream
from storage.tables.upstream import AttemptRow

__all__ = ["LIFETIME_MS", "SignInAttempts", "SignInRefused", "callback_path"]

LIFETIME_MS = 15 * 60_000
"""How long somebody may take at the provider."""


@dataclass(frozen=True, slots=True)
class SignInRefused(Observation):
    """A provider's answer was not accepted, or could not be fetched.

    Attributes:
        provider_id: whose.
        reason: for the operator; holds no secret.
    """

    level: ClassVar[Level] = Level.WARNING
    provider_id: str
    reason: str


def callback_path(provider_id: str) -> str:
    """Where browsers come back to: one path for each provider, so that none can answer for another."""
    return f"/account/upstream/{provider_id}/callback"


class SignInAttempts:
    """Sends browsers away and takes them in again.

    Args:
        database: where it is remembered who was sent.
        providers: by their IDs.
        base_url: where browsers reach this server.
        clock: ends attempts.
        randomness: for what nobody may guess.
        observer: told why an answer was refused; the browser is not.
    """

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[str, Provider],
        base_url: str,
        clock: Clock,
        randomness: Randomness,
        observer: Observer,
    ) -> None:
        self._database = database
        self.providers = providers
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._randomness = randomness
        self._observer = observer

    def provider(self, provider_id: str) -> Provider:
        """A provider.

        Raises:
            NotFound: there is none of that ID.
        """
        try:
            return self.providers[provider_id]
        except KeyError:
            raise NotFound("There is no such way to sign in here.") from None

    async def begin(
        self, provider_id: str, browser_token: str, *, continue_at: str, uia_session: str | None = None
    ) -> str:
        """Remember a browser; returns where to send it.

        Args:
            provider_id: which provider.
            browser_token: what the browser's cookie holds.
            continue_at: a path of this server where it goes on afterwards.
            uia_session: whose stage is to be passed; people have to sign in anew for that.

        Raises:
            NotFound: there is no such provider.
            Unavailable: it does not answer.
        """
        provider, now_ms = self.provider(provider_id), self._clock.now_ms()
        state = self._randomness.token_urlsafe(32)
        attempt = AttemptRow(
            provider_id, nonce=self._randomness.token_urlsafe(32),
            code_verifier=self._randomness.token_urlsafe(48), continue_at=continue_at,
            uia_session=uia_session, created_ms=now_ms,
        )  # fmt: skip
        try:
            uri = await provider.authorization_uri(self._authorization(attempt, state))
        except MetadataError as error:
            raise self._out_of_order(provider, str(error)) from error
        await upstream.forget_older_than(self._database, now_ms - LIFETIME_MS)
        await upstream.add_attempt(self._database, hash_of(state), hash_of(browser_token), attempt)
        return uri

    async def take(self, provider_id: str, browser_token: str, state: str) -> AttemptRow:
        """Take a browser in that has come back; its attempt is used up.

        Raises:
            Forbidden: this browser was not sent there with this state, or has come back already, or too late.
        """
        attempt = await upstream.take_attempt(
            self._database, hash_of(state), hash_of(browser_token),
            self._clock.now_ms() - LIFETIME_MS,
        )  # fmt: skip
        if attempt is None or attempt.provider_id != provider_id:
            raise Forbidden(
                "This sign-in was not begun in this browser, or it took too long, or it is over. Begin again."
            )
        return attempt

    async def person(self, attempt: AttemptRow, answer: Mapping[str, str], state: str) -> Person:
        """Tell who has signed in.

        Args:
            attempt: that was taken.
            answer: the parameters that the browser has brought.
            state: one of them.

        Raises:
            Forbidden: the provider has refused, or its answer shows nobody.
            Unavailable: the provider does not answer.
        """
        provider = self.provider(attempt.provider_id)
        try:
            await self._check_issuer(provider, answer)
            if "error" in answer:
                raise self._refused(provider, answer)
            return await provider.person_with(
                answer.get("code", ""),
                self._authorization(attempt, state),
                # Who confirms something is known already.
                wants_all=attempt.uia_session is None,
            )
        except IdTokenError as error:
            self._observer(SignInRefused(provider.rules.id, str(error)))
            raise Forbidden(
                f"The answer of {provider.name} was not accepted. Begin again; if that does not help, tell"
                " the operator of this server."
            ) from error
        except MetadataError as error:
            raise self._out_of_order(provider, str(error)) from error
        except Unavailable as error:
            self._observer(SignInRefused(provider.rules.id, error.error))
            raise Unavailable(f"{provider.name} does not answer; try again later.") from error

    async def _check_issuer(self, provider: Provider, answer: Mapping[str, str]) -> None:
        issuer = answer.get("iss")
        if issuer is None and (await provider.metadata()).answers_with_issuer:
            raise IdTokenError("the answer does not name its issuer")
        if issuer is not None and issuer != provider.rules.issuer:
            raise IdTokenError("the answer names another issuer")

    def _refused(self, provider: Provider, answer: Mapping[str, str]) -> Forbidden:
        code = answer["error"]
        if code == "access_denied":
            return Forbidden(f"{provider.name} says that you did not allow it, or may not.")
        known = code if code.replace("_", "").isalnum() and len(code) <= 50 else "an unknown error"
        self._observer(SignInRefused(provider.rules.id, f"the provider answered {known}"))
        return Forbidden(f"{provider.name} could not sign you in ({known}). Begin again.")

    def _out_of_order(self, provider: Provider, reason: str) -> Unavailable:
        self._observer(SignInRefused(provider.rules.id, reason))
        return Unavailable(f"{provider.name} is out of order; tell the operator of this server.")

    def _authorization(self, attempt: AttemptRow, state: str) -> Authorization:
        return Authorization(
            redirect_uri=self._base_url + callback_path(attempt.provider_id),
            state=state,
            nonce=attempt.nonce,
            code_verifier=attempt.code_verifier,
            signs_in_anew=attempt.uia_session is not None,
            begun_s=attempt.created_ms // 1_000,
        )
