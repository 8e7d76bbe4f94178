"""Devices: what a user is logged in with.

Spec: https://spec.matrix.org/v1.19/client-server-api/#device-management
"""

from collections.abc import Sequence

from homeserver.accounts.access_tokens import AccessTokens
from homeserver.accounts.ports import AnnounceDeviceLists
from homeserver.accounts.text import DEVICE_NAME_CHARACTERS_MAX, check_text, storable
from homeserver.core.errors import NotFound
from storage.pool import Database
from storage.tables import cross_signing, device_lists, devices

__all__ = ["Devices"]


class Devices:
    """Lists, renames and deletes devices; a deleted one is logged out at once, and its keys are gone.

    Args:
        database: where they are.
        access_tokens: forgets those of deleted devices.
        announce: tells others of devices that have keys.
    """

    def __init__(
        self, *, database: Database, access_tokens: AccessTokens, announce: AnnounceDeviceLists
    ) -> None:
        self._database = database
        self._access_tokens = access_tokens
        self._announce = announce

    async def of_user(self, user_id: str) -> list[devices.DeviceRow]:
        """All devices of a user."""
        return await devices.of_user(self._database, user_id)

    async def find(self, user_id: str, device_id: str) -> devices.DeviceRow:
        """One device of a user.

        Raises:
            NotFound: there is none of that ID.
        """
        device = await devices.find(self._database, user_id, device_id) if storable(device_id) else None
        if device is None:
            raise NotFound("You have no device of this ID.")
        return device

    async def rename(self, user_id: str, device_id: str, display_name: str | None) -> None:
        """Set the display name of a device.

        Raises:
            InvalidParam: the name is too long or cannot be stored.
            NotFound: there is no device of that ID.
        """
        if display_name is not None:
            check_text(
                display_name, "The device's display name", characters_max=DEVICE_NAME_CHARACTERS_MAX
            )
        async with self._database.transaction() as transaction:
            if not storable(device_id) or not await devices.rename(
                transaction, user_id, device_id, display_name
            ):
                raise NotFound("You have no device of this ID.")
            noted = await device_lists.note_devices(transaction, user_id, [device_id])
        await self._announce(noted)

    async def delete(self, user_id: str, device_ids: Sequence[str]) -> None:
        """Log devices out and forget them; those that are not there are no matter."""
        known = [device_id for device_id in device_ids if storable(device_id)]
        await self._delete(user_id, known)

    async def delete_all(self, user_id: str) -> None:
        """Log all devices of a user out and forget them."""
        await self._delete(user_id, None)

    async def _delete(self, user_id: str, device_ids: list[str] | None) -> None:
        async with self._database.transaction() as transaction:
            locked = await devices.lock(transaction, user_id, device_ids)
            noted = await device_lists.note_devices(transaction, user_id, locked)
            await cross_signing.forget_signatures_of(transaction, user_id, locked)
            ended = await devices.delete(transaction, user_id, locked)
        self._access_tokens.forget_sessions(ended)
        await self._announce(noted)
