"""The stages in which somebody shows that an e-mail address or a phone number is theirs.

Spec: https://spec.matrix.org/v1.19/client-server-api/#email-based-identity--homeserver
"""

from collections.abc import Mapping, Sequence
from typing import Any

from homeserver.accounts.addresses import EMAIL, MSISDN
from homeserver.accounts.threepids import Threepids
from homeserver.accounts.uia import Stage
from homeserver.accounts.validations import REGISTER, RESET, Validations
from homeserver.core.errors import MissingParam, ThreepidAuthFailed, ThreepidInUse
from storage.tables.threepids import ValidationRow

__all__ = ["EMAIL_STAGE", "MSISDN_STAGE", "AddressStages"]

EMAIL_STAGE = "m.login.email.identity"
MSISDN_STAGE = "m.login.msisdn"
_MEDIUM_OF = {EMAIL_STAGE: EMAIL, MSISDN_STAGE: MSISDN}


class AddressStages:
    """Checks validations as stages. What is remembered of one is its sid and secret.

    Args:
        validations: keeps them.
        threepids: knows whose an address is.
        media: those that messages can be sent by.
    """

    def __init__(self, *, validations: Validations, threepids: Threepids, media: Sequence[str]) -> None:
        self._validations = validations
        self._threepids = threepids
        self._media = frozenset(media)

    def open(self) -> list[str]:
        """The stages that can be passed here."""
        return [stage for stage, medium in _MEDIUM_OF.items() if medium in self._media]

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
