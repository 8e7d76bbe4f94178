"""The e-mail addresses and phone numbers of accounts.

Spec: https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information
"""

from homeserver.accounts.validations import ADD, RESET, ValidationRequest, Validations
from homeserver.core.errors import ThreepidAuthFailed, ThreepidInUse
from homeserver.runtime.clock import Clock
from storage.pool import Database
from storage.tables import threepids
from storage.tables.threepids import ThreepidRow, ValidationRow

__all__ = ["Threepids"]


class Threepids:
    """Adds addresses to accounts, and finds accounts by them.

    Args:
        database: where they are.
        validations: shows whose an address is.
        clock: tells when.
    """

    def __init__(self, *, database: Database, validations: Validations, clock: Clock) -> None:
        self._database = database
        self._validations = validations
        self._clock = clock

    async def of_user(self, user_id: str) -> list[ThreepidRow]:
        """The addresses of an account, the oldest first."""
        return await threepids.of_user(self._database, user_id)

    async def user_of(self, medium: str, address: str) -> str | None:
        """Whose an address (in its canonical form) is, if anybody's."""
        return await threepids.user_of(self._database, medium, address)

    async def begin(self, asked: ValidationRequest) -> str:
        """Send a secret to an address that is to be shown to be somebody's; returns the validation's sid.

        Who has an address is told to nobody but whoever reads what is sent there.

        Raises:
            InvalidParam: a client secret, attempt or link that cannot be.
            LimitExceeded: too much was sent to the address lately.
        """
        is_known = await self.user_of(asked.medium, asked.address) is not None
        return await self._validations.request(asked, is_wanted=is_known == (asked.purpose == RESET))

    async def add(self, user_id: str, sid: str, client_secret: str) -> None:
        """Add an address that was shown to be the user's.

        Raises:
            ThreepidAuthFailed: it was not, or the validation was for something else.
            ThreepidInUse: another account has it.
        """
        validation = await self._validations.validated(sid, client_secret, ADD)
        await self.add_validated(user_id, validation)

    async def add_validated(self, user_id: str, validation: ValidationRow) -> None:
        """Add the address of a validation that is done, and use the validation up.

        Raises:
            ThreepidAuthFailed: it was used already.
            ThreepidInUse: another account has the address.
        """
        assert validation.validated_ms is not None, "it is done"
        added = ThreepidRow(
            validation.medium, validation.address, validation.validated_ms, self._clock.now_ms()
        )
        if not await self._validations.take(validation.sid):
            raise ThreepidAuthFailed("This validation was used already; begin again.")
        if not await threepids.add(self._database, user_id, added):
            raise ThreepidInUse("Another account has this address.")

    async def delete(self, user_id: str, medium: str, address: str) -> None:
        """Take an address from an account; one that it does not have is no matter."""
        await threepids.delete(self._database, user_id, medium, address)
