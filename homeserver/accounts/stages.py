"""The stages that this server can ask for: how each is checked, and what clients need to know of it.

Spec: https://spec.matrix.org/v1.19/client-server-api/#authentication-types
"""

from collections.abc import Mapping
from typing import Any

from homeserver.accounts.address_stages import EMAIL_STAGE, RESET_OPERATION, AddressStages
from homeserver.accounts.login import PASSWORD, Logins
from homeserver.accounts.ports import SingleSignOn
from homeserver.accounts.recaptcha import RECAPTCHA, Recaptcha
from homeserver.accounts.registration import Registration
from homeserver.accounts.terms import TERMS, Terms
from homeserver.accounts.uia import DUMMY, Stage, pass_dummy
from homeserver.accounts.validations import REGISTER, RESET
from homeserver.core.errors import Forbidden, MissingParam

__all__ = ["SSO", "TOKEN", "Stages"]

SSO = "m.login.sso"
TOKEN = "m.login.registration_token"  # noqa: S105 - the name of a stage


class Stages:
    """Makes the checks of stages.

    Args:
        logins: knows passwords.
        registration: knows registration tokens.
        terms: None: there are none to accept.
        recaptcha: None: no riddles.
        addresses: None: nobody is reached by e-mail or phone.
        single_sign_on: None: nobody signs in that way.
    """

    def __init__(
        self,
        *,
        logins: Logins,
        registration: Registration,
        terms: Terms | None = None,
        recaptcha: Recaptcha | None = None,
        addresses: AddressStages | None = None,
        single_sign_on: SingleSignOn | None = None,
    ) -> None:
        self._logins = logins
        self._registration = registration
        self.terms = terms
        self.recaptcha = recaptcha
        self.addresses = addresses
        self.single_sign_on = single_sign_on

    def checks(self, user_id: str | None, operation: str = "") -> dict[str, Stage]:
        """How to check each stage.

        Args:
            user_id: who has to pass; None: somebody who registers, or resets a password.
            operation: what is done then.
        """
        if operation == RESET_OPERATION:
            return {} if self.addresses is None else self.addresses.checks(RESET)
        if user_id is not None:
            return {PASSWORD: self._logins.password_stage(user_id), SSO: _only_in_a_browser}
        checks: dict[str, Stage] = {DUMMY: pass_dummy, TOKEN: self._pass_token}
        if self.terms is not None:
            checks[TERMS] = pass_dummy  # to submit it is to accept
        if self.recaptcha is not None:
            checks[RECAPTCHA] = self.recaptcha.check
        if self.addresses is not None:
            checks |= self.addresses.checks(REGISTER)
        return checks

    def params(self) -> dict[str, Any]:
        """What clients need to know of each stage."""
        params: dict[str, Any] = {}
        if self.terms is not None:
            params[TERMS] = self.terms.params()
        if self.recaptcha is not None:
            params[RECAPTCHA] = {"public_key": self.recaptcha.public_key}
        return params

    def for_registration(self, *, needs_token: bool, needs_email: bool = False) -> list[list[str]]:
        """The flows of registration.

        Args:
            needs_token: none without a registration token.
            needs_email: none without an e-mail address; else there is one with and one without.
        """
        flow = [TOKEN] if needs_token else []
        if self.recaptcha is not None:
            flow.append(RECAPTCHA)
        if self.terms is not None:
            flow.append(TERMS)
        with_address = [] if self.addresses is None else [[*flow, one] for one in self.addresses.open()]
        if needs_email:
            return [[*flow, EMAIL_STAGE]]
        # The first is the one that most clients take.
        return [flow or [DUMMY], *with_address]

    async def _pass_token(self, auth: Mapping[str, Any]) -> str:
        token = auth.get("token")
        if not isinstance(token, str):
            raise MissingParam("Give a registration token.")
        if not await self._registration.is_good_token(token):
            raise Forbidden("This registration token is unknown, used up or expired.")
        return token


async def _only_in_a_browser(auth: Mapping[str, Any]) -> str:
    del auth
    raise Forbidden("Open the fallback page of this stage in a browser, and send the session only.")
