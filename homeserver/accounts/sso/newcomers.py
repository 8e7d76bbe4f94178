"""Whose account somebody gets who has signed in at a provider: the one they had, or a new one.

Spec: https://spec.matrix.org/v1.19/client-server-api/#handling-the-callback-from-the-authentication-server
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from homeserver.accounts.account_data import AccountData
from homeserver.accounts.addresses import EMAIL, canonical_email
from homeserver.accounts.oauth.web_registration import ACCEPTED_TERMS
from homeserver.accounts.registration import NewAccount, Registration
from homeserver.accounts.sso.provider import Provider
from homeserver.accounts.terms import Document, Terms
from homeserver.accounts.token_format import hash_of
from homeserver.core.errors import Forbidden, InvalidParam, InvalidUsername, UserInUse
from homeserver.core.oauth.upstream_claims import Person
from homeserver.runtime.clock import Clock
from storage.pool import Database
from storage.tables import account_states, threepids, upstream
from storage.tables.queries import Queries
from storage.tables.threepids import ThreepidRow
from storage.tables.upstream import NewcomerRow

__all__ = ["FORM_LIFETIME_MS", "Asked", "Newcomers", "RegistrationPolicy"]

FORM_LIFETIME_MS = 15 * 60_000
"""How long somebody may take to fill in the form."""


@dataclass(frozen=True, slots=True)
class RegistrationPolicy:
    """Who may make an account by registering.

    Attributes:
        mode: open, with a registration token, or nobody.
        needs_email: only who has an e-mail address.
    """

    mode: Literal["open", "token", "closed"]
    needs_email: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a newcomer is asked for.

    Attributes:
        user_name: which name they want.
        token: a registration token.
        documents: that they have to accept.
    """

    user_name: bool
    token: bool
    documents: tuple[Document, ...]

    def __bool__(self) -> bool:
        """Whether they are asked for anything."""
        return self.user_name or self.token or bool(self.documents)


class Newcomers:
    """Finds and makes accounts.

    Args:
        database: knows who is who.
        providers: by their IDs.
        registration: makes accounts.
        policy: who may have one.
        terms: None: there are none to accept.
        account_data: remembers which terms were accepted.
        clock: tells the time.
    """

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[str, Provider],
        registration: Registration,
        policy: RegistrationPolicy,
        terms: Terms | None,
        account_data: AccountData,
        clock: Clock,
    ) -> None:
        self._database = database
        self._providers = providers
        self._registration = registration
        self._policy = policy
        self._terms = terms
        self._account_data = account_data
        self._clock = clock

    async def user_of(self, provider_id: str, person: Person) -> str | None:
        """Whose account somebody has already; one of their name is theirs if the operator says so."""
        known = await upstream.user_of(self._database, provider_id, person.subject)
        rules = self._providers[provider_id].rules
        if known is not None or not rules.links_existing_accounts:
            return known
        if person.localpart is None or not person.is_exact:
            return None
        try:
            user_id = self._registration.user_id_for(person.localpart)
        except InvalidUsername:
            return None
        state = await account_states.find(self._database, user_id)
        if state is None or state.is_guest or state.is_deactivated:
            return None
        is_linked = await upstream.add_identity(
            self._database, provider_id, person.subject, user_id, self._clock.now_ms()
        )
        return user_id if is_linked else None

    async def welcome(
        self, provider_id: str, person: Person, browser_token: str, continue_at: str
    ) -> str | None:
        """Make the account of somebody who has none; returns the user ID, or None if they are asked first.

        Args:
            provider_id: where they have signed in.
            person: who they are there.
            browser_token: what the cookie of their browser holds: it will bring the answers.
            continue_at: a path of this server where it goes on afterwards.

        Raises:
            Forbidden: they may have none.
        """
        newcomer = NewcomerRow(
            provider_id, person.subject, person.localpart, person.display_name, person.email, continue_at
        )
        self._check_allowed(newcomer)
        if not person.is_exact or await self._is_taken(newcomer) or self.asked(newcomer):
            now_ms = self._clock.now_ms()
            await upstream.put_newcomer(self._database, hash_of(browser_token), newcomer, now_ms)
            return None
        return await self._create(newcomer, newcomer.localpart or "", None)

    async def find(self, browser_token: str) -> NewcomerRow:
        """Who is asked in a browser.

        Raises:
            Forbidden: nobody is (any more).
        """
        found = await upstream.find_newcomer(
            self._database, hash_of(browser_token), self._clock.now_ms() - FORM_LIFETIME_MS
        )
        if found is None or found.provider_id not in self._providers:
            raise Forbidden("This took too long, or this browser keeps no cookies. Sign in again.")
        return found

    def asked(self, newcomer: NewcomerRow) -> Asked:
        """What somebody is asked for, beside a name if theirs cannot be had."""
        rules = self._providers[newcomer.provider_id].rules
        return Asked(
            user_name=rules.asks_for_user_name or newcomer.localpart is None,
            token=rules.new_accounts == "as_registration" and self._policy.mode == "token",
            documents=() if self._terms is None else tuple(self._terms.documents()),
        )

    async def register(self, browser_token: str, form: Mapping[str, str]) -> tuple[str, str]:
        """Make an account with the answers; returns the user ID and where the browser goes on.

        Args:
            browser_token: what the cookie of the browser holds.
            form: `user`, and `token` and `accept` where they are asked for.

        Raises:
            MatrixError: something is not good, said in a sentence for the one who filled in the form.
        """
        newcomer = await self.find(browser_token)
        self._check_allowed(newcomer)
        asked, username = self.asked(newcomer), form.get("user", "").strip()
        if not username:
            raise InvalidUsername("Choose a user name.")
        if asked.documents and form.get("accept") != "yes":
            raise Forbidden("Say that you accept the documents.")
        token = form.get("token", "").strip() if asked.token else None
        if token is not None and not await self._registration.is_good_token(token):
            raise Forbidden("This registration token is unknown, used up or expired.")
        user_id = await self._create(newcomer, username, token)
        await upstream.take_newcomer(self._database, hash_of(browser_token))
        if asked.documents and self._terms is not None:
            await self._account_data.set(user_id, ACCEPTED_TERMS, {"accepted": self._terms.urls()})
        return user_id, newcomer.continue_at

    def _check_allowed(self, newcomer: NewcomerRow) -> None:
        provider = self._providers[newcomer.provider_id]
        rule = provider.rules.new_accounts
        if rule == "never" or (rule == "as_registration" and self._policy.mode == "closed"):
            raise Forbidden(
                f"{provider.name} knows you, but you have no account here, and only the operator of this"
                " server makes new ones."
            )
        if rule == "as_registration" and self._policy.needs_email and _email_of(newcomer) is None:
            raise Forbidden(
                f"This server wants an e-mail address that {provider.name} has verified, and it tells none."
            )

    async def _is_taken(self, newcomer: NewcomerRow) -> bool:
        try:
            await self._registration.check_available(newcomer.localpart or "")
        except (InvalidUsername, UserInUse):
            return True
        return False

    async def _create(self, newcomer: NewcomerRow, username: str, token: str | None) -> str:
        user_id = self._registration.user_id_for(username)

        async def link(queries: Queries) -> None:
            now_ms = self._clock.now_ms()
            if not await upstream.add_identity(
                queries, newcomer.provider_id, newcomer.subject, user_id, now_ms
            ):
                raise Forbidden("You have got an account in another window just now. Sign in again.")
            address = _email_of(newcomer)
            if address is None:
                return
            is_added = await threepids.add(queries, user_id, ThreepidRow(EMAIL, address, now_ms, now_ms))
            rule = self._providers[newcomer.provider_id].rules.new_accounts
            if not is_added and self._policy.needs_email and rule == "as_registration":
                raise Forbidden("Another account has your e-mail address.")

        account = NewAccount(username, None, display_name=newcomer.display_name, registration_token=token)
        return await self._registration.create(account, also=link)


def _email_of(newcomer: NewcomerRow) -> str | None:
    try:
        return None if newcomer.email is None else canonical_email(newcomer.email)
    except InvalidParam:
        return None
