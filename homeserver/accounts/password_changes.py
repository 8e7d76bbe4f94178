"""Changing the password of an account that exists.

Spec: https://spec.matrix.org/v1.19/client-server-api/#password-management
"""

from homeserver.accounts.devices import Devices
from homeserver.accounts.passwords import Passwords
from storage.pool import Database
from storage.tables import accounts, browser_sessions

__all__ = ["PasswordChanges"]


class PasswordChanges:
    """Sets passwords, and logs out who may know the old one.

    Args:
        database: of accounts.
        passwords: hashes them.
        devices: which are logged out.
    """

    def __init__(self, *, database: Database, passwords: Passwords, devices: Devices) -> None:
        self._database = database
        self._passwords = passwords
        self._devices = devices

    def check(self, password: str) -> None:
        """Refuse a password that is too short or too long, before anybody is asked to confirm it.

        Raises:
            WeakPassword: it is.
        """
        self._passwords.check_acceptable(password)

    async def has_password(self, user_id: str) -> bool:
        """Whether an account has one: others sign in by other ways."""
        account = await accounts.find(self._database, user_id)
        return account is not None and account.password_hash is not None

    async def set(
        self, user_id: str, password: str, *, logs_out: bool, kept_device_id: str | None = None
    ) -> None:
        """Set the password.

        Args:
            user_id: whose.
            password: the new one.
            logs_out: end the sessions of all devices.
            kept_device_id: except of this one.

        Raises:
            WeakPassword: the password is too short or too long.
            Unavailable: too many wait for a hash.
        """
        self._passwords.check_acceptable(password)
        password_hash = await self._passwords.hash(password)
        await accounts.set_password_hash(self._database, user_id, password_hash)
        # Whoever knew the old one may sit in a browser that could sign in further clients.
        await browser_sessions.delete_of_user(self._database, user_id)
        if logs_out:
            gone = [one.device_id for one in await self._devices.of_user(user_id)]
            await self._devices.delete(user_id, [one for one in gone if one != kept_device_id])
