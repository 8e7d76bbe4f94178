"""The stages in which somebody shows that an e-mail address or a phone number is theirs.

Spec: https://spec.matrix.org/v1.19/client-server-api/#email-based-identity--homeserver
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.accounts.addresses import EMAIL, MSISDN, canonical_email, canonical_phone
from homeserver.accounts.threepids import Threepids
from homeserver.accounts.uia import Stage
from homeserver.accounts.validations import REGISTER, RESET, ValidationRequest, Validations
from homeserver.core.errors import MissingParam, ThreepidAuthFailed, ThreepidInUse
from homeserver.runtime.randomness import Randomness
from storage.tables.threepids import ValidationRow

__all__ = ["EMAIL_STAGE", "MSISDN_STAGE", "RESET_OPERATION", "AddressStages", "BegunStage"]

EMAIL_STAGE = "m.login.email.identity"
MSISDN_STAGE = "m.login.msisdn"
RESET_OPERATION = "reset a password"
"""The operation for which an address shows whose the account is; for all others it is that of a new one."""

_MEDIUM_OF = {EMAIL_STAGE: EMAIL, MSISDN_STAGE: MSISDN}


@dataclass(frozen=True, slots=True)
class BegunStage:
    """A validation that was begun for somebody who passes a stage in a browser.

    Attributes:
        sid: names it.
        client_secret: made up here.
        address: in its canonical form.
    """

    sid: str
    client_secret: str
    address: str


class AddressStages:
    """Checks validations as stages. What is remembered of one is its sid and secret.

    Args:
        validations: keeps them.
        threepids: knows whose an address is.
        media: those that messages can be sent by.
        randomness: makes up secrets for browsers.
    """

    def __init__(
        self, *, validations: Validations, threepids: Threepids, media: Sequence[str], randomness: Randomness
    ) -> None:
        self._validations = validations
        self._threepids = threepids
        self._media = frozenset(media)
        self._randomness = randomness

    def open(self) -> list[str]:
        """The stages that can be passed here."""
        return [stage for stage, medium in _MEDIUM_OF.items() if medium in self._media]

    async def begin(self, stage: str, operation: str, country: str, typed: str) -> BegunStage:
        """Send a secret to an address that somebody typed on the page of a stage.

        Args:
            stage: one of those that are open.
            operation: what the stage is passed for.
            country: of a phone number; two letters, or empty.
            typed: the address.

        Raises:
            InvalidParam: it is none.
            LimitExceeded: too much was sent there lately.
        """
        medium = _MEDIUM_OF[stage]
        address = canonical_email(typed) if medium == EMAIL else canonical_phone(country, typed)
        secret = self._randomness.token_urlsafe(18)
        purpose = RESET if operation == RESET_OPERATION else REGISTER
        sid = await self._threepids.begin(ValidationRequest(purpose, medium, address, secret, 1))
        return BegunStage(sid, secret, address)

    async def submit_code(self, sid: str, client_secret: str, code: str) -> None:
        """Take a code that somebody typed on the page of a stage.

        Raises:
            SessionExpired: there is no such validation (any more), or too many codes were tried.
            TokenIncorrect: it is not what was sent.
        """
        await self._validations.submit(sid, client_secret, code)

    def checks(self, purpose: str) -> dict[str, Stage]:
        """How to check each stage, for `REGISTER` or `RESET`."""
        return {stage: self._check_for(purpose, _MEDIUM_OF[stage]) for stage in self.open()}

    async def validation_in(self, passed: Mapping[str, str], purpose: str) -> ValidationRow | None:
        """The validation by which one of the stages was passed, if one was.

        Raises:
            ThreepidAuthFailed: it is over, or was used meanwhile.
        """
        for stage in _MEDIUM_OF:
            if stage in passed:
                sid, _, client_secret = passed[stage].partition(" ")
                return await self._validations.validated(sid, client_secret, purpose)
        return None

    async def user_to_reset(self, passed: Mapping[str, str]) -> str:
        """Whose password may be set after a stage for `RESET` was passed; uses the validation up.

        Raises:
            ThreepidAuthFailed: the validation was used, or no account has the address any more.
        """
        validation = await self.validation_in(passed, RESET)
        user_id = None
        if validation is not None and await self._validations.take(validation.sid):
            user_id = await self._threepids.user_of(validation.medium, validation.address)
        if user_id is None:
            raise ThreepidAuthFailed("No account has this address (any more).")
        return user_id

    async def add_registered(self, user_id: str, passed: Mapping[str, str]) -> None:
        """Add the address by which a new user registered to the account, if there was one.

        Raises:
            ThreepidAuthFailed: the validation is over, or was used meanwhile.
            ThreepidInUse: another account has the address.
        """
        validation = await self.validation_in(passed, REGISTER)
        if validation is not None:
            await self._threepids.add_validated(user_id, validation)

    def _check_for(self, purpose: str, medium: str) -> Stage:
        async def check(auth: Mapping[str, Any]) -> str:
            # COMPAT: some clients write the name as it was in the first versions of the specification.
            creds = auth.get("threepid_creds", auth.get("threepidCreds"))
            if not isinstance(creds, Mapping):
                raise MissingParam("Give threepid_creds.")
            sid, client_secret = creds.get("sid"), creds.get("client_secret")
            if not isinstance(sid, str) or not isinstance(client_secret, str):
                raise MissingParam("Give the sid and the client_secret of the validation.")
            row = await self._validations.validated(sid, client_secret, purpose)
            if row.medium != medium:
                raise ThreepidAuthFailed("This is the validation of another kind of address.")
            if purpose == REGISTER and await self._threepids.user_of(medium, row.address) is not None:
                raise ThreepidInUse("There is an account with this address already.")
            return f"{sid} {client_secret}"

        return check
